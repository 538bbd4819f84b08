//! Rows of a user's own table to items: which of its columns is which of ours, and what cells mean.
//!
//! Our columns, all optional: `id, image, text, labels, patient, study, source, split, view, regions`. A
//! column may go by another name (`--column patient=group`) or be several joined by a space
//! (`--column text=findings+impression`), or be passed over (`--column source=`).
//!
//! Labels: `A|B` or `["A", "B"]` says that A and B are present and all other labels of the source are
//! absent; `A=1|B=0|C=-1` or `{"A": 1, "B": 0, "C": -1}` says just that, the others are unknown; an
//! empty cell says nothing.
//!
//! Regions: `[{"label": "Mass", "box": [0.1, 0.2, 0.3, 0.4]}]`, left, top, width and height in parts of the picture.

use super::source::{Item, Labels, Region, View};
use super::split;
use crate::image::Place;
use serde_json::{Map, Value};

/// A row: cells by the column names of the table.
pub type Cells = Map<String, Value>;

/// Why a row is refused: the reason's code, and its detail.
pub type Refusal = (&'static str, String);

const COLUMNS: [&str; 10] = [
    "id", "image", "text", "labels", "patient", "study", "source", "split", "view", "regions",
];

/// How a user's columns are read.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Columns {
    /// Reads a column under another name, or several joined by +: patient=group, text=findings+impression
    #[arg(long = "column", value_name = "OURS=THEIRS", value_parser = parse_column)]
    pub columns: Vec<(String, String)>,
    /// Takes only rows with one of these values in a column: sex=F,M
    #[arg(long = "only", value_name = "COLUMN=VALUE,..", value_parser = parse_only)]
    pub only: Vec<(String, Vec<String>)>,
}

/// What an item has where its row says nothing.
pub struct Defaults<'a> {
    /// Id of the record.
    pub id: &'a str,
    /// Name of the source.
    pub source: &'a str,
}

impl Columns {
    /// The table's columns that make one of ours; none if ours is passed over.
    pub fn theirs<'a>(&'a self, ours: &'a str) -> Vec<&'a str> {
        let renamed = self.columns.iter().rev().find(|(o, _)| o == ours);
        let name = renamed.map_or(ours, |(_, theirs)| theirs.as_str());
        name.split('+')
            .map(str::trim)
            .filter(|n| !n.is_empty())
            .collect()
    }

    /// The columns that were asked for by name, which a table must therefore have.
    pub fn needed(&self) -> Vec<&str> {
        let renamed = self.columns.iter().flat_map(|(ours, _)| self.theirs(ours));
        let only = self.only.iter().map(|(name, _)| name.as_str());
        renamed.chain(only).collect()
    }

    /// The cell of one of our columns as text, trimmed; empty for none.
    pub fn get(&self, row: &Cells, ours: &str) -> String {
        let cells = self.theirs(ours).into_iter();
        let cells = cells.filter_map(|n| row.get(n).map(plain));
        let cells: Vec<String> = cells.filter(|c| !c.is_empty()).collect();
        cells.join(" ")
    }

    /// Whether a row is one of those that are taken.
    pub fn wanted(&self, row: &Cells) -> bool {
        self.only.iter().all(|(column, values)| {
            let cell = row.get(column).map(plain).unwrap_or_default();
            values.contains(&cell)
        })
    }

    /// The item of a row with the picture `image`. A study is its record and a patient the study, where
    /// the row does not name them.
    ///
    /// # Errors
    /// A cell that means nothing.
    pub fn item(
        &self,
        row: &Cells,
        image: Option<Place>,
        defaults: &Defaults,
    ) -> Result<Item, Refusal> {
        let cell = |ours: &str| self.theirs(ours).first().and_then(|n| row.get(*n));
        let labels = match cell("labels") {
            Some(value) => read_labels(value).map_err(|detail| ("bad-label", detail))?,
            None => Labels::default(),
        };
        let regions = match cell("regions") {
            Some(value) => read_regions(value).map_err(|detail| ("bad-box", detail))?,
            None => Vec::new(),
        };
        let split = split::canonical(&self.get(row, "split"));
        let or = |ours: &str, other: &str| {
            let value = self.get(row, ours);
            if value.is_empty() {
                other.to_owned()
            } else {
                value
            }
        };
        let id = or("id", defaults.id);
        let study = or("study", &id);
        Ok(Item {
            image,
            view: View::of_position(&self.get(row, "view")),
            regions,
            text: self.get(row, "text"),
            labels,
            patient: or("patient", &study),
            study,
            source: or("source", defaults.source),
            split: split.map_err(|detail| ("bad-split", detail))?,
            id,
            ..Item::default()
        })
    }
}

/// Checks `--column OURS=THEIRS`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_column(text: &str) -> Result<(String, String), String> {
    let (ours, theirs) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not OURS=THEIRS"))?;
    let ours = ours.trim();
    if !COLUMNS.contains(&ours) {
        return Err(format!("{ours:?} is not one of {}", COLUMNS.join(", ")));
    }
    Ok((ours.to_owned(), theirs.trim().to_owned()))
}

/// Checks `--only COLUMN=VALUE[,VALUE]`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_only(text: &str) -> Result<(String, Vec<String>), String> {
    let (column, values) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not COLUMN=VALUE[,VALUE...]"))?;
    let values = values.split(',').map(|v| v.trim().to_owned()).collect();
    Ok((column.trim().to_owned(), values))
}

/// A cell as text.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(s) => s.trim().to_owned(),
        other => other.to_string(),
    }
}

/// Labels in any of their spellings; the error says what is wrong.
fn read_labels(value: &Value) -> Result<Labels, String> {
    let level = |name: &str, value: f64| match value {
        1.0 => Ok(1),
        0.0 => Ok(0),
        -1.0 => Ok(-1),
        other => Err(format!(
            "label {name:?} has the value {other}, expected 1, 0 or -1"
        )),
    };
    let mut labels = Labels::default();
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let value = match value {
                    Value::Null => continue,
                    Value::Bool(b) => i8::from(*b),
                    other => {
                        let number = other.as_f64().or_else(|| plain(other).parse().ok());
                        level(name, number.unwrap_or(f64::NAN))?
                    }
                };
                labels.named.push((name.clone(), value));
            }
        }
        Value::Array(names) => {
            labels.closed = true;
            labels.named = names.iter().map(|n| (plain(n), 1)).collect();
        }
        other => {
            let cell = plain(other);
            let entries: Vec<&str> = cell
                .split('|')
                .map(str::trim)
                .filter(|e| !e.is_empty())
                .collect();
            labels.closed = !entries.is_empty() && !entries.iter().any(|e| e.contains('='));
            for entry in entries {
                let (name, value) = match entry.split_once('=') {
                    Some((name, value)) => (
                        name.trim(),
                        level(name, value.trim().parse().unwrap_or(f64::NAN))?,
                    ),
                    None => (entry, 1),
                };
                labels.named.push((name.to_owned(), value));
            }
        }
    }
    if let Some((name, _)) = labels.named.iter().find(|(n, _)| n.is_empty()) {
        return Err(format!("a label has an empty name: {name:?}"));
    }
    Ok(labels)
}

/// A region as a cell has it.
#[derive(serde::Deserialize)]
struct Marked {
    label: String,
    #[serde(rename = "box")]
    edges: [f64; 4],
}

/// Regions as JSON or as a text of JSON; the error says what is wrong.
fn read_regions(value: &Value) -> Result<Vec<Region>, String> {
    let marked: Result<Vec<Marked>, _> = match value {
        Value::Null => return Ok(Vec::new()),
        Value::String(text) if text.trim().is_empty() => return Ok(Vec::new()),
        Value::String(text) => serde_json::from_str(text),
        other => serde_json::from_value(other.clone()),
    };
    let wrong = |what: &dyn std::fmt::Display| {
        format!(
            "{what}; regions are [{{\"label\": NAME, \"box\": [left, top, width, height]}}], in parts of the picture"
        )
    };
    let mut regions = Vec::new();
    for Marked { label, edges } in marked.map_err(|e| wrong(&e))? {
        let [x, y, width, height] = edges;
        let inside = edges.iter().all(|e| (0.0..=1.0).contains(e));
        // What rounds in the last place is no fault.
        if !inside || x + width > 1.0 + 1e-6 || y + height > 1.0 + 1e-6 {
            return Err(wrong(&format!("{edges:?} is not within 0 to 1")));
        }
        regions.push(Region {
            label,
            x,
            y,
            width,
            height,
        });
    }
    Ok(regions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn regions_are_json_and_lie_in_the_picture() {
        let one = json!([{"label": "Mass", "box": [0.1, 0.2, 0.9, 0.8]}]);
        let want = Region {
            label: "Mass".into(),
            x: 0.1,
            y: 0.2,
            width: 0.9,
            height: 0.8,
        };
        assert_eq!(read_regions(&one), Ok(vec![want.clone()]));
        assert_eq!(read_regions(&one.to_string().into()), Ok(vec![want]));
        assert_eq!(read_regions(&Value::Null), Ok(vec![]));
        assert_eq!(read_regions(&"".into()), Ok(vec![]));
        for bad in [
            json!([{"label": "Mass", "box": [0.1, 0.2, 0.9, 0.9]}]),
            json!([{"label": "Mass", "box": [0.1, 0.2, 0.9]}]),
            json!([{"label": "Mass", "box": [-0.1, 0.2, 0.9, 0.1]}]),
            json!([{"box": [0, 0, 1, 1]}]),
            json!({"label": "Mass"}),
            json!("Mass"),
        ] {
            assert!(read_regions(&bad).is_err(), "{bad}");
        }
    }
}
