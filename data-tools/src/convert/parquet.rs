//! Parquet tables, with the feature `parquet`.

use super::ConvertError;
use super::problems::Problems;
use super::rows::Take;
use std::path::Path;

/// As [`super::rows::read`] says.
///
/// # Errors
/// This program is built without the reader.
pub fn read(
    path: &Path,
    _: &mut Problems,
    _: &dyn Fn(&[String]) -> Result<(), ConvertError>,
    _: &mut Take<'_>,
) -> Result<(), ConvertError> {
    Err(ConvertError::NotFound {
        what: format!("{}: this cxr-data reads no Parquet", path.display()),
        hint: "build it with --features parquet, or save the table as CSV or JSON lines".to_owned(),
    })
}
