//! Line charts as inline SVG. Colours come from the page's CSS variables, so they follow light and dark.

use super::html::escape;
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;

/// A line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points in the order of x; those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// Drawn with dashes: a baseline, or validation.
    pub dashed: bool,
}

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Name of the x axis.
    pub x: String,
    /// Name of the y axis.
    pub y: String,
    /// Lines.
    pub series: Vec<Series>,
}

impl Chart {
    /// The chart as an `<svg>` element with a legend; a sentence where there is nothing to draw.
    pub fn svg(&self) -> String {
        let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
        let points: Vec<(f64, f64)> = self
            .series
            .iter()
            .flat_map(|s| s.points.iter().filter(finite))
            .copied()
            .collect();
        if points.is_empty() {
            return format!("<p>No points for {} yet.</p>", escape(&self.y));
        }
        let range = |f: &dyn Fn(&(f64, f64)) -> f64| {
            let low = points.iter().map(f).fold(f64::INFINITY, f64::min);
            let high = points.iter().map(f).fold(f64::NEG_INFINITY, f64::max);
            if high > low {
                (low, high)
            } else {
                (low - 0.5, low + 0.5)
            }
        };
        let (x0, x1) = range(&|p| p.0);
        let (low, high) = range(&|p| p.1);
        // Losses start from 0 so that a small change does not look like a large one.
        let (y0, y1) = (if low > 0.0 { 0.0 } else { low }, high);
        let px = |x: f64| LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT);
        let py = |y: f64| TOP + (y1 - y) / (y1 - y0) * (HEIGHT - TOP - BOTTOM);
        let mut out = format!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{} over {}\">",
            escape(&self.y),
            escape(&self.x)
        );
        // Writing to a String cannot fail.
        for y in ticks(y0, y1) {
            let (right, at) = (WIDTH - RIGHT, py(y));
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                number(y),
            );
        }
        for x in ticks(x0, x1) {
            let _ = write!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                px(x),
                HEIGHT - BOTTOM + 16.0,
                number(x),
            );
        }
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 4.0,
            escape(&self.x)
        );
        for (i, series) in self.series.iter().enumerate() {
            let line: Vec<String> = series
                .points
                .iter()
                .filter(finite)
                .map(|p| format!("{:.1},{:.1}", px(p.0), py(p.1)))
                .collect();
            let class = if series.dashed { "line dashed" } else { "line" };
            let _ = write!(
                out,
                "<polyline class=\"{class} c{}\" points=\"{}\"/>",
                i % 6,
                line.join(" ")
            );
        }
        let _ = write!(out, "</svg><figcaption><b>{}</b> ", escape(&self.y));
        for (i, series) in self.series.iter().enumerate() {
            let _ = write!(
                out,
                "<span class=\"key c{}\">{}</span> ",
                i % 6,
                escape(&series.name)
            );
        }
        out.push_str("</figcaption></figure>");
        out
    }
}

/// Multiples of 1, 2 or 5 times a power of ten within a range, a handful of them.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = match rough / power {
        m if m < 1.5 => power,
        m if m < 3.5 => 2.0 * power,
        m if m < 7.5 => 5.0 * power,
        _ => 10.0 * power,
    };
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(|i| i as f64 * step).collect()
}

fn number(value: f64) -> String {
    // A tick has at most a few digits; what lies beyond is rounding.
    let rounded = (value * 1e6).round() / 1e6;
    format!("{rounded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        let series = vec![Series {
            name: "a<b".into(),
            points,
            dashed: true,
        }];
        Chart {
            x: "step".into(),
            y: "loss".into(),
            series,
        }
    }

    #[test]
    fn points_lie_within_the_frame_and_text_is_escaped() {
        let svg = chart(vec![(0.0, 4.0), (10.0, 1.0), (20.0, f64::NAN), (30.0, 2.0)]).svg();
        assert!(svg.contains("a&lt;b") && !svg.contains("NaN") && svg.contains("dashed"));
        let line = svg
            .split("points=\"")
            .nth(1)
            .and_then(|s| s.split('"').next())
            .expect("a line");
        let points: Vec<&str> = line.split(' ').collect();
        assert_eq!(points.len(), 3, "{line}");
        assert_eq!(points[0], format!("{LEFT:.1},{TOP:.1}"));
    }

    #[test]
    fn ticks_are_round_numbers_within_the_range() {
        assert_eq!(
            ticks(0.0, 1000.0),
            [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]
        );
        assert_eq!(ticks(4.5, 1069.0), [200.0, 400.0, 600.0, 800.0, 1000.0]);
        let small: Vec<String> = ticks(0.0, 0.4).into_iter().map(number).collect();
        assert_eq!(small, ["0", "0.1", "0.2", "0.3", "0.4"]);
        for (low, high) in [
            (0.0, 1.0),
            (-3.0, 17.5),
            (1e-3, 9e-3),
            (5.0, 5.1),
            (0.0, 7.13),
        ] {
            let found = ticks(low, high);
            assert!((3..=8).contains(&found.len()), "{low} {high}: {found:?}");
            assert!(found.iter().all(|t| (low..=high).contains(t)), "{found:?}");
        }
    }

    #[test]
    fn nothing_to_draw_and_a_single_point_are_fine() {
        assert!(chart(vec![]).svg().contains("No points"));
        assert!(chart(vec![(3.0, 3.0)]).svg().contains("polyline"));
    }
}
