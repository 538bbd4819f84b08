//! Parquet tables, with the feature `parquet`.
//!
//! Columns of bytes, such as embedded pictures, are not read; strings, numbers, booleans, lists and groups are,
//! as JSON lines would have them. The crate bounds no memory by what a file claims: read files that you trust.

use super::ConvertError;
use super::problems::Problems;
use super::rows::Take;
use std::path::Path;

/// As [`super::rows::read`] says.
///
/// # Errors
/// This program is built without the reader.
#[cfg(not(feature = "parquet"))]
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

#[cfg(feature = "parquet")]
pub use reader::read;

#[cfg(feature = "parquet")]
mod reader {
    use super::*;
    use ::parquet::basic::{ConvertedType, Type as Physical};
    use ::parquet::errors::ParquetError;
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Row;
    use ::parquet::schema::types::Type;
    use serde_json::Value;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    /// As [`super::super::rows::read`] says; rows are numbered from 1.
    ///
    /// # Errors
    /// A file that cannot be read or is no Parquet; those of `check` and `take`.
    pub fn read(
        path: &Path,
        problems: &mut Problems,
        check: &dyn Fn(&[String]) -> Result<(), ConvertError>,
        take: &mut Take<'_>,
    ) -> Result<(), ConvertError> {
        let wrong = |detail: String| ConvertError::Csv {
            path: path.to_owned(),
            detail,
        };
        let file = std::fs::File::open(path).map_err(|e| ConvertError::read(path, e))?;
        let file = careful(|| SerializedFileReader::new(file)).map_err(wrong)?;
        let schema = file.metadata().file_metadata().schema();
        let fields = schema.get_fields().iter().filter(|f| !has_bytes(f));
        let fields: Vec<Arc<Type>> = fields.cloned().collect();
        let names: Vec<String> = fields.iter().map(|f| f.name().to_owned()).collect();
        check(&names)?;
        let projection = Type::group_type_builder(schema.name())
            .with_fields(fields)
            .build();
        let projection = projection.map_err(|e| wrong(e.to_string()))?;
        let mut rows = careful(|| file.get_row_iter(Some(projection))).map_err(wrong)?;
        let mut number = 0;
        loop {
            number += 1;
            let row = careful(|| rows.next().transpose())
                .map_err(|detail| wrong(format!("row {number}: {detail}")))?;
            let Some(row) = row else { return Ok(()) };
            problems.check_number(path)?;
            if let Value::Object(cells) = Row::to_json_value(&row) {
                take(number, cells, problems)?;
            }
        }
    }

    /// Damaged files make the crate panic here and there; that must not end the program.
    fn careful<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(result) => result.map_err(|e| e.to_string()),
            Err(_) => Err("the reader gave up on the contents".to_owned()),
        }
    }

    /// True if there are bytes in a column that are no text.
    fn has_bytes(field: &Type) -> bool {
        if !field.is_primitive() {
            return field.get_fields().iter().any(|f| has_bytes(f));
        }
        let info = field.get_basic_info();
        let bytes = matches!(
            field.get_physical_type(),
            Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY
        );
        bytes && info.converted_type() == ConvertedType::NONE && info.logical_type_ref().is_none()
    }

    #[cfg(test)]
    mod tests {
        use super::super::super::manifest::Manifest;
        use super::super::super::source::{Source, View};
        use super::*;
        use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
        use ::parquet::file::properties::WriterProperties;
        use ::parquet::file::writer::SerializedFileWriter;
        use ::parquet::schema::parser::parse_message_type;

        fn table() -> Vec<u8> {
            let schema = "message m { REQUIRED BYTE_ARRAY image (UTF8); REQUIRED INT64 patient;
                OPTIONAL BYTE_ARRAY text (UTF8); REQUIRED BYTE_ARRAY pixels; REQUIRED BYTE_ARRAY view (UTF8); }";
            let schema = Arc::new(parse_message_type(schema).expect("a schema"));
            let properties = Arc::new(WriterProperties::builder().build());
            let mut writer =
                SerializedFileWriter::new(Vec::new(), schema, properties).expect("a writer");
            let mut rows = writer.next_row_group().expect("a group");
            let texts: [&[&str]; 4] = [&["a.png", "b.png"], &["Clear."], &["x", "y"], &["PA", "L"]];
            let mut texts = texts.into_iter();
            let mut place = 0;
            while let Some(mut column) = rows.next_column().expect("a column") {
                if place == 1 {
                    let column = column.typed::<Int64Type>();
                    column.write_batch(&[7, 8], None, None).expect("written");
                } else {
                    let values = texts.next().expect("texts").iter();
                    let values: Vec<ByteArray> = values.map(|t| ByteArray::from(*t)).collect();
                    let levels: Option<&[i16]> = (place == 2).then_some(&[0, 1]);
                    let column = column.typed::<ByteArrayType>();
                    column.write_batch(&values, levels, None).expect("written");
                }
                column.close().expect("closed");
                place += 1;
            }
            rows.close().expect("closed");
            writer.into_inner().expect("written")
        }

        #[test]
        fn rows_become_items_and_damage_is_named() {
            let dir = tempfile::tempdir().expect("a folder");
            let path = dir.path().join("m.parquet");
            let whole = table();
            std::fs::write(&path, &whole).expect("written");
            let source = Manifest {
                path: path.clone(),
                ..Manifest::default()
            };
            let items = source.scan("s", &mut Problems::default()).expect("scans");
            let found: Vec<_> = items
                .iter()
                .map(|i| (i.id.as_str(), i.patient.as_str(), i.text.as_str(), i.view))
                .collect();
            let want = [
                ("a.png", "7", "", View::Frontal),
                ("b.png", "8", "Clear.", View::Lateral),
            ];
            assert_eq!(found, want);
            // No damage may end the program.
            for place in (0..whole.len()).step_by(3) {
                let mut bytes = whole.clone();
                bytes[place] ^= 0x55;
                std::fs::write(&path, &bytes).expect("written");
                if let Err(error) = source.scan("s", &mut Problems::default()) {
                    assert!(error.to_string().contains("m.parquet"), "{error}");
                }
            }
            std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
            assert!(source.scan("s", &mut Problems::default()).is_err());
        }
    }
}
