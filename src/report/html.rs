//! A page: one file, no network, readable on a phone, light and dark.

use super::png::{PictureError, base64, encode_grey};
use super::svg::Chart;
use std::fmt::Write;

const STYLE: &str = "
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#5a6570;--line:#d5dae0;--panel:#f5f7f9;
--c0:#0b62c4;--c1:#c2410c;--c2:#15803d;--c3:#8b2fc9;--c4:#a16207;--c5:#0e7490}
@media(prefers-color-scheme:dark){:root{--bg:#14181d;--fg:#e6eaef;--soft:#9aa6b2;--line:#353d47;--panel:#1d232a;
--c0:#6cb2ff;--c1:#ff9b66;--c2:#6fd68a;--c3:#d39bff;--c4:#f0c75e;--c5:#62d4e3}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}
.soft,figcaption,svg text{color:var(--soft);fill:var(--soft);font-size:.85rem}
svg{width:100%;height:auto}svg text{font-size:12px}figure{margin:1rem 0}
.grid{stroke:var(--line)}.line{fill:none;stroke:var(--c);stroke-width:2}.dashed{stroke-dasharray:6 4}
.c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}
.key{display:inline-block;margin-right:1rem}.key::before{content:'';display:inline-block;width:1.2em;height:.25em;background:var(--c);margin-right:.4em;vertical-align:middle}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);white-space:nowrap}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.row{display:flex;flex-wrap:wrap;gap:.6rem;margin:.8rem 0}.row figure{margin:0;width:9.5rem;max-width:46%}
.row img{width:100%;image-rendering:pixelated;background:#000;display:block}
p.report{background:var(--panel);padding:.7rem;border-radius:.4rem}
mark.right{background:none;color:var(--c2);font-weight:600}mark.wrong{background:none;color:var(--c1);font-weight:600}
pre{background:var(--panel);padding:.7rem;overflow-x:auto;font-size:.8rem}
";

/// A page being written, section by section.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
}

/// `text` with the characters that mean something in HTML replaced.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

impl Page {
    /// A page with a headline and a line below it.
    pub fn new(title: &str, subtitle: &str) -> Self {
        let body = format!(
            "<h1>{}</h1><p class=\"soft\">{}</p>",
            escape(title),
            escape(subtitle)
        );
        Self {
            title: title.into(),
            body,
        }
    }

    /// A headline of a section.
    pub fn section(&mut self, title: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = write!(self.body, "<h2>{}</h2>", escape(title));
    }

    /// A paragraph.
    pub fn text(&mut self, text: &str) {
        let _ = write!(self.body, "<p>{}</p>", escape(text));
    }

    /// A chart.
    pub fn chart(&mut self, chart: &Chart) {
        self.body.push_str(&chart.svg());
    }

    /// Text with a fixed width, such as a configuration.
    pub fn code(&mut self, text: &str) {
        let _ = write!(self.body, "<pre>{}</pre>", escape(text));
    }

    /// A table; cells that read as numbers are set to the right.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        self.body.push_str("<div class=\"scroll\"><table><tr>");
        for cell in head {
            let _ = write!(self.body, "<th>{}</th>", escape(cell));
        }
        self.body.push_str("</tr>");
        for row in rows {
            self.body.push_str("<tr>");
            for cell in row {
                let number = cell.trim_end_matches(['%', ' ']).parse::<f64>().is_ok();
                let class = if number { " class=\"n\"" } else { "" };
                let _ = write!(self.body, "<td{class}>{}</td>", escape(cell));
            }
            self.body.push_str("</tr>");
        }
        self.body.push_str("</table></div>");
    }

    /// Square grey pictures of `side` pixels next to each other, each with a caption.
    pub fn pictures(
        &mut self,
        side: usize,
        pictures: &[(&str, &[u8])],
    ) -> Result<(), PictureError> {
        self.body.push_str("<div class=\"row\">");
        for (caption, pixels) in pictures {
            let data = base64(&encode_grey(pixels, side, side)?);
            let caption = escape(caption);
            let _ = write!(
                self.body,
                "<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{data}\"><figcaption>{caption}</figcaption></figure>"
            );
        }
        self.body.push_str("</div>");
        Ok(())
    }

    /// A report whose masked words are marked: plain text, or what was predicted and what is right.
    pub fn filled_report(&mut self, words: &[(String, Option<String>)]) {
        self.body.push_str("<p class=\"report\">");
        for (word, right) in words {
            let word = escape(word);
            let _ = match right {
                None => write!(self.body, "{word} "),
                Some(right) if escape(right) == word => {
                    write!(self.body, "<mark class=\"right\">[{word}]</mark> ")
                }
                Some(right) => {
                    write!(
                        self.body,
                        "<mark class=\"wrong\">[{word} &rarr; {}]</mark> ",
                        escape(right)
                    )
                }
            };
        }
        self.body.push_str("</p>");
    }

    /// The whole file.
    pub fn finish(self) -> String {
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>{}</title><style>{STYLE}</style></head><body>{}</body></html>\n",
            escape(&self.title),
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_self_contained_and_escaped() {
        let mut page = Page::new("A & B", "<script>");
        page.section("Numbers");
        page.table(
            &["name", "value"],
            &[
                vec!["x < y".into(), "3.5".into()],
                vec!["share".into(), "12 %".into()],
            ],
        );
        page.pictures(2, &[("original", &[0, 255, 128, 3])])
            .expect("a picture");
        page.filled_report(&[
            ("the".into(), None),
            ("heart".into(), Some("heart".into())),
            ("a".into(), Some("b".into())),
        ]);
        let html = page.finish();
        assert!(!html.contains("<script>") && !html.contains("http"));
        assert!(html.contains("x &lt; y") && html.contains("data:image/png;base64,"));
        assert_eq!(html.matches("class=\"n\"").count(), 2);
        assert!(
            html.contains("class=\"right\">[heart]")
                && html.contains("class=\"wrong\">[a &rarr; b]")
        );
    }

    #[test]
    fn a_picture_of_the_wrong_size_is_an_error() {
        assert!(Page::new("t", "s").pictures(2, &[("x", &[0; 3])]).is_err());
    }
}
