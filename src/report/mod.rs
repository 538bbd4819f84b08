//! Reports: self-contained HTML pages with curves, pictures and tables, made from plain data.

mod html;
mod png;
mod svg;

pub use html::{Page, escape};
pub use png::{PictureError, encode_grey};
pub use svg::{Chart, Series};
