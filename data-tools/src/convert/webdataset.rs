//! Tar shards as the webdataset library reads and writes them, in place: nothing is unpacked.
//!
//! Members of one sample stand side by side and share the name up to the first dot of its last part:
//! `a/0001.png`, `a/0001.txt` and `a/0001.json` are the sample `a/0001`. The picture is a png, jpg, jpeg,
//! tif, tiff, bmp or dcm; `txt` is the text; `json` is an object whose keys are columns as those of a manifest (see
//! `columns.rs`), `text` among them if there is no `txt`; `cls` is a number that becomes a label. Other members are
//! passed over.

use super::archive;
use super::columns::{Cells, Columns, Defaults};
use super::files::list_folder;
use super::problems::Problems;
use super::source::{Item, Source};
use super::{ConvertError, read};
use crate::image::{Member, Place};
use serde_json::Value;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Tar shards.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Webdataset {
    /// A tar shard, a folder of them, or a list of them, one path a line; may be repeated
    #[arg(long = "shards", value_name = "PATH", required = true)]
    pub shards: Vec<PathBuf>,
    /// Names of the classes of .cls members, in their order from 0 [default: class 0, class 1, ...]
    #[arg(long, value_delimiter = ',')]
    pub classes: Vec<String>,
    /// Which keys of the JSON members are which.
    #[command(flatten)]
    pub columns: Columns,
}

/// Most bytes of a text, JSON or class member.
const MAX_TEXT: u64 = 4 << 20;

/// Endings of pictures; what a file holds decides how it is decoded.
const PICTURES: [&str; 7] = ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "dcm"];

/// The members of one sample.
#[derive(Debug, Default)]
struct Sample {
    key: String,
    image: Option<Member>,
    row: Cells,
    text: Option<String>,
    class: Option<u64>,
    /// Why it cannot be used, if it cannot.
    wrong: Option<(&'static str, String)>,
}

impl Source for Webdataset {
    fn name(&self) -> String {
        "webdataset".to_owned()
    }

    fn scan(&self, source: &str, problems: &mut Problems) -> Result<Vec<Item>, ConvertError> {
        let mut items = Vec::new();
        for path in self.paths()? {
            self.read_shard(source, &path, problems, &mut items);
        }
        Ok(items)
    }
}

impl Webdataset {
    /// The shards: folders sorted by name, lists in their order.
    fn paths(&self) -> Result<Vec<PathBuf>, ConvertError> {
        let mut paths = Vec::new();
        for path in &self.shards {
            if path.is_dir() {
                let files = list_folder(path)?.into_iter();
                let tars = files.filter(|(name, _)| name.ends_with(".tar"));
                paths.extend(tars.map(|(_, path)| path));
            } else if path.extension().is_some_and(|e| e == "tar") {
                paths.push(path.clone());
            } else if is_packed(path) {
                return Err(ConvertError::NotFound {
                    what: format!("{}: a packed shard cannot be read in place", path.display()),
                    hint: "unpack it to .tar, e.g. with gunzip".to_owned(),
                });
            } else {
                let folder = path.parent().unwrap_or(Path::new(""));
                read::lines(path, &mut |_, line| paths.push(folder.join(line)))?;
            }
        }
        if paths.is_empty() {
            return Err(ConvertError::NotFound {
                what: "no tar shard in the folders and lists of --shards".to_owned(),
                hint: "expected files *.tar; packed ones must be unpacked".to_owned(),
            });
        }
        Ok(paths)
    }

    /// Reads one shard. What is wrong with it goes to `problems`; the samples before that stay.
    fn read_shard(
        &self,
        source: &str,
        path: &Path,
        problems: &mut Problems,
        items: &mut Vec<Item>,
    ) {
        let mut sample = Sample::default();
        let walked = archive::walk_file(path, &mut |member, content| {
            if let Some((key, ending)) = split_name(&member.name) {
                if key != sample.key {
                    let done = std::mem::take(&mut sample);
                    self.add(source, path, done, problems, items);
                    sample.key = key.to_owned();
                }
                let ending = ending.to_ascii_lowercase();
                sample.take(&ending, member, content)?;
            }
            Ok(())
        });
        self.add(source, path, sample, problems, items);
        if let Err(error) = walked {
            let detail = match error {
                ConvertError::Read { source, .. } => source.to_string(),
                other => other.to_string(),
            };
            problems.scan(path.display().to_string(), "bad-shard", detail);
        }
    }

    fn add(
        &self,
        source: &str,
        path: &Path,
        mut sample: Sample,
        problems: &mut Problems,
        items: &mut Vec<Item>,
    ) {
        // Before the first sample.
        if sample.key.is_empty() {
            return;
        }
        if let Some(text) = sample.text.take() {
            // Where a key of the JSON member is named as the text, it stands over the text member.
            let name = self.columns.theirs("text").first().copied();
            let name = name.unwrap_or("text").to_owned();
            sample.row.entry(name).or_insert_with(|| text.into());
        }
        if !self.columns.wanted(&sample.row) {
            return;
        }
        let place = format!("{}:{}", path.display(), sample.key);
        if let Some((reason, detail)) = sample.wrong {
            return problems.scan(place, reason, detail);
        }
        if sample.image.is_none() && self.columns.get(&sample.row, "text").is_empty() {
            return problems.scan(place, "empty", "the sample has neither picture nor text");
        }
        let image = sample.image.map(|member| Place {
            path: path.to_owned(),
            member: Some(member),
        });
        // Keys need only be unique within a shard.
        let shard = path.file_stem().unwrap_or_default().to_string_lossy();
        let id = format!("{shard}/{}", sample.key);
        match self
            .columns
            .item(&sample.row, image, &Defaults { id: &id, source })
        {
            Ok(mut item) => {
                if let (Some(class), true) = (sample.class, item.labels.named.is_empty()) {
                    let name = usize::try_from(class)
                        .ok()
                        .and_then(|c| self.classes.get(c));
                    let name = name.cloned().unwrap_or_else(|| format!("class {class}"));
                    item.labels.named.push((name, 1));
                    item.labels.closed = true;
                }
                items.push(item);
            }
            Err((reason, detail)) => problems.scan(place, reason, detail),
        }
    }
}

impl Sample {
    fn take(&mut self, ending: &str, member: Member, content: &mut dyn Read) -> io::Result<()> {
        if PICTURES.contains(&ending) {
            // As webdataset does with two members of one name, refuse; which one is meant is open.
            if self.image.is_some() {
                self.wrong = Some(("bad-sample", "the sample has two pictures".to_owned()));
            }
            self.image = Some(member);
            return Ok(());
        }
        if !["txt", "json", "cls"].contains(&ending) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        content.take(MAX_TEXT + 1).read_to_end(&mut bytes)?;
        let wrong = |what: String| Some(("bad-sample", format!("the .{ending} member {what}")));
        if bytes.len() as u64 > MAX_TEXT {
            self.wrong = wrong(format!("has over {} MiB", MAX_TEXT >> 20));
            return Ok(());
        }
        let Ok(text) = String::from_utf8(bytes) else {
            self.wrong = wrong("is not UTF-8".to_owned());
            return Ok(());
        };
        let text = text.trim_start_matches('\u{feff}').trim();
        match ending {
            "txt" => self.text = Some(text.to_owned()),
            "cls" => match text.parse() {
                Ok(class) => self.class = Some(class),
                Err(_) => self.wrong = wrong("is not a number".to_owned()),
            },
            _ => match serde_json::from_str(text) {
                Ok(Value::Object(row)) => self.row = row,
                Ok(_) => self.wrong = wrong("is not a JSON object".to_owned()),
                Err(e) => self.wrong = wrong(format!("is not JSON: {e}")),
            },
        }
        Ok(())
    }
}

/// Key and ending of a member: parted at the first dot of the name's last part. `None` for what is in no
/// sample: hidden files and names without a dot.
fn split_name(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_prefix("./").unwrap_or(name);
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name.get(base..)?.find('.')?;
    let (key, ending) = (name.get(..base + dot)?, name.get(base + dot + 1..)?);
    (dot > 0 && !ending.is_empty()).then_some((key, ending))
}

fn is_packed(path: &Path) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    [".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2"]
        .iter()
        .any(|e| name.ends_with(e))
}

#[cfg(test)]
mod tests {
    use super::super::columns::parse_column;
    use super::super::source::View;
    use super::*;

    fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *bytes).expect("packed");
        }
        tar.into_inner().expect("packed")
    }

    const FIRST: [(&str, &[u8]); 12] = [
        ("README", b"no sample"),
        ("a/0001.png", b"picture 1"),
        ("a/0001.txt", b"No edema.\n"),
        (
            "a/0001.json",
            br#"{"pid": 7, "view": "PA", "labels": {"Edema": 0}}"#,
        ),
        ("a/0002.seg.png", b"not the picture"),
        ("a/0002.JPG", b"picture 2"),
        ("a/0002.cls", b"1\n"),
        ("b/0002.txt", b"Another."),
        ("b/0003.json", b"[1]"),
        ("b/0003.txt", b"Refused."),
        ("b/.hidden.txt", b"x"),
        ("b/0004.npy", b"x"),
    ];

    fn source(shards: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Webdataset) {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, bytes) in shards {
            std::fs::write(dir.path().join(name), bytes).expect("written");
        }
        let source = Webdataset {
            shards: vec![dir.path().to_owned()],
            classes: vec!["Normal".into(), "Pneumonia".into()],
            columns: Columns {
                columns: vec![parse_column("patient=pid").expect("valid")],
                ..Columns::default()
            },
        };
        (dir, source)
    }

    #[test]
    fn members_of_one_key_are_one_record() {
        let second = tar(&[("a/0001.json", br#"{"text": "From JSON."}"#)]);
        let (dir, source) = source(&[("s-01.tar", second), ("s-00.tar", tar(&FIRST))]);
        let mut problems = Problems::default();
        let items = source.scan("web", &mut problems).expect("scans");
        let ids: Vec<&str> = items.iter().map(|i| i.id.as_str()).collect();
        assert_eq!(
            ids,
            ["s-00/a/0001", "s-00/a/0002", "s-00/b/0002", "s-01/a/0001"]
        );
        let first = &items[0];
        assert_eq!(
            (first.text.as_str(), first.patient.as_str()),
            ("No edema.", "7")
        );
        assert_eq!((first.view, first.source.as_str()), (View::Frontal, "web"));
        assert_eq!(first.labels.named, [("Edema".to_owned(), 0)]);
        let bytes = std::fs::read(dir.path().join("s-00.tar")).expect("readable");
        for (item, want) in items.iter().zip(["picture 1", "picture 2"]) {
            let member = item
                .image
                .as_ref()
                .and_then(|p| p.member.clone())
                .expect("a member");
            let range = member.start as usize..(member.start + member.bytes) as usize;
            assert_eq!(&bytes[range], want.as_bytes());
        }
        assert_eq!(items[1].labels.named, [("Pneumonia".to_owned(), 1)]);
        assert!(items[2].image.is_none());
        assert_eq!(items[3].text, "From JSON.");
        let reasons: Vec<String> = problems
            .list()
            .iter()
            .map(|p| format!("{} {}", p.path.rsplit('/').next().unwrap_or(""), p.reason))
            .collect();
        assert_eq!(reasons, ["0003 bad-sample", "0004 empty"]);
    }

    #[test]
    fn a_shard_that_is_cut_is_named_and_its_whole_samples_kept() {
        let whole = tar(&[("1.txt", b"One."), ("2.txt", b"Two.")]);
        let (_dir, source) = source(&[("s.tar", whole[..1536 + 2].to_vec())]);
        let mut problems = Problems::default();
        let items = source.scan("web", &mut problems).expect("scans");
        assert_eq!(items.len(), 1);
        let problem = &problems.list()[0];
        assert_eq!(problem.reason, "bad-shard");
        assert!(problem.path.ends_with("s.tar") && problem.detail.contains("2.txt"));
    }

    #[test]
    fn lists_name_shards_and_packed_ones_are_refused() {
        let shard = tar(&[("1.txt", b"One.")]);
        let (dir, mut source) = source(&[("s.tar", shard), ("shards.txt", b"s.tar\n".to_vec())]);
        source.shards = vec![dir.path().join("shards.txt")];
        let items = source.scan("web", &mut Problems::default()).expect("scans");
        assert_eq!(items.len(), 1);
        source.shards = vec![dir.path().join("s.tar.gz")];
        let error = source
            .scan("web", &mut Problems::default())
            .expect_err("packed")
            .to_string();
        assert!(
            error.contains("s.tar.gz") && error.contains("gunzip"),
            "{error}"
        );
    }

    #[test]
    fn keys_end_at_the_first_dot_of_the_last_part() {
        assert_eq!(split_name("a.b/c.d.png"), Some(("a.b/c", "d.png")));
        assert_eq!(split_name("./1.jpg"), Some(("1", "jpg")));
        for none in ["a.b/c", "a/.png", ".png", "a.", ""] {
            assert_eq!(split_name(none), None, "{none}");
        }
    }
}
