//! From a scene to pixels: soft shapes are laid over each other, each by its distance from an outline.
//!
//! Coordinates: x from -1 (left of the picture, the patient's right) to 1, y from -1 (top) to 1.

use super::scene::{Device, Finding, FindingKind, Scene, Side, Zone};
use crate::rng::{Purpose, Stream, philox4x32_10};

/// Cells along one side of the lattice of the tissue texture.
const LATTICE: usize = 48;

/// The picture of a scene, 8 bit, row-major. `[side * side]`
pub fn render(scene: &Scene, side: usize) -> Vec<u8> {
    let texture = Texture::new(scene.key);
    let mut pixels = Vec::with_capacity(side * side);
    for row in 0..side {
        for col in 0..side {
            let at = |i: usize| (2.0 * i as f32 + 1.0) / side as f32 - 1.0;
            let (x, y) = ((at(col) - scene.shift) / scene.scale, at(row) / scene.scale);
            let mut v = density(scene, &texture, x, y);
            v = 0.5 + (v - 0.5) * scene.contrast + scene.exposure;
            v += scene.noise * noise(scene.key, (row * side + col) as u32);
            pixels.push((v.clamp(0.0, 1.0) * 255.0).round() as u8);
        }
    }
    pixels
}

/// 1 inside (`distance < 0`), 0 outside, smooth over `soft`.
fn inside(distance: f32, soft: f32) -> f32 {
    let t = (0.5 - distance / (2.0 * soft)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// About the distance from an axis-parallel ellipse.
fn ellipse(x: f32, y: f32, [cx, cy]: [f32; 2], [rx, ry]: [f32; 2]) -> f32 {
    (((x - cx) / rx).hypot((y - cy) / ry) - 1.0) * rx.min(ry)
}

/// Distance from a line segment.
fn segment(x: f32, y: f32, [ax, ay]: [f32; 2], [bx, by]: [f32; 2]) -> f32 {
    let (dx, dy) = (bx - ax, by - ay);
    let t = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
    (x - ax - t * dx).hypot(y - ay - t * dy)
}

fn mix(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}

fn density(s: &Scene, texture: &Texture, x: f32, y: f32) -> f32 {
    let side = if x < 0.0 { Side::Right } else { Side::Left };
    let lateral = x.abs();
    // Trunk with shoulders, and the neck above it.
    let width = 0.9 - 0.42 * inside(y + 0.83, 0.14) * (1.0 - 0.2 * lateral);
    let body = inside(lateral - width, 0.05);
    let mut v = mix(0.03, 0.52 + 0.10 * inside(0.72 - lateral, 0.2), body);

    let lung = lung(s, x, y);
    let tissue = texture.at(x, y);
    v = mix(
        v,
        0.15 + 0.10 * tissue + 0.06 * inside(lateral - 0.3, 0.2),
        lung,
    );

    v += ribs(s, lateral, y) * body * mix(0.5, 1.0, lung);
    for sign in [-1.0, 1.0] {
        let clavicle = segment(x, y, [sign * 0.07, -0.64], [sign * 0.66, -0.79]);
        v += 0.13 * inside(clavicle - 0.032, 0.018);
    }

    // Below the domes lies the abdomen, with a bubble of air on the left.
    let dome = dome(s, x, y);
    v = mix(v, 0.74 + 0.04 * tissue, inside(-dome, 0.02) * body);
    v -= 0.22 * inside(ellipse(x, y, [0.42, s.domes[1] + 0.2], [0.13, 0.08]), 0.05);

    // Spine with its discs, mediastinum, aortic arch, trachea, hila.
    let spine = inside(lateral - 0.095, 0.03) * body;
    v = mix(v, 0.66 + 0.05 * (y * 38.0).sin(), 0.75 * spine);
    let mediastinum = 0.13 + 0.07 * inside(-y - 0.05, 0.4);
    v = mix(
        v,
        0.70,
        0.85 * inside(lateral - mediastinum, 0.04) * inside(-0.72 - y, 0.1),
    );
    v = mix(
        v,
        0.68,
        0.8 * inside(ellipse(x, y, [0.14, -0.36], [0.1, 0.1]), 0.03),
    );
    v -= 0.20 * inside(lateral - 0.045, 0.02) * inside(y + 0.36, 0.08) * inside(-0.98 - y, 0.1);
    for sign in [-1.0, 1.0] {
        let hilum = ellipse(x, y, [sign * 0.2, -0.08], [0.09, 0.13]);
        v += 0.16 * inside(hilum, 0.08) * (0.6 + 0.8 * tissue);
    }
    // The heart reaches further to the patient's left.
    let heart = ellipse(
        x,
        y,
        [0.10 + 0.25 * (s.heart - 0.3), 0.24],
        [s.heart, 0.27 + 0.2 * (s.heart - 0.3)],
    );
    v = mix(v, 0.73, 0.93 * inside(heart, 0.03));

    for finding in &s.findings {
        if finding.side.is_none_or(|f| f == side) {
            v = lesion(s, finding, texture, (x, y), lung, v);
        }
    }
    if let Some(device) = s.device {
        v = implant(device, x, y, v);
    }
    v
}

/// 1 within a lung: an ellipse, cut by the dome of the diaphragm.
fn lung(s: &Scene, x: f32, y: f32) -> f32 {
    let sign = x.signum();
    let outline = ellipse(x, y, [sign * 0.41, -0.06], [0.33, 0.72]);
    inside(outline, 0.025) * inside(dome(s, x, y), 0.02)
}

/// Below 0 above the diaphragm.
fn dome(s: &Scene, x: f32, y: f32) -> f32 {
    let top = s.domes[usize::from(x >= 0.0)];
    let off = x.abs() - 0.36;
    y - (top + 1.1 * off * off)
}

/// Brightness of the ribs: their back parts fall outwards, their front parts fall inwards and are fainter.
fn ribs(s: &Scene, lateral: f32, y: f32) -> f32 {
    let cage = inside(lateral - 0.8, 0.04)
        * inside(0.1 - lateral, 0.03)
        * inside(y - 0.72, 0.1)
        * inside(-0.86 - y, 0.05);
    let line = |height: f32, half: f32| {
        let phase = height.rem_euclid(s.rib_gap) - s.rib_gap / 2.0;
        inside(phase.abs() - half, 0.016)
    };
    let back = line(y - 0.55 * (lateral - 0.1) * (lateral + 0.1), 0.026);
    let front = line(y + 0.5 * lateral - 0.35, 0.03) * inside(0.34 - lateral, 0.1);
    cage * (0.105 * back + 0.055 * front)
}

/// Middle of a third of a lung.
fn zone_centre(side: Side, zone: Zone) -> [f32; 2] {
    let y = match zone {
        Zone::Upper => -0.44,
        Zone::Middle => -0.08,
        Zone::Lower => 0.27,
    };
    [
        side.sign() * if zone == Zone::Upper { 0.38 } else { 0.46 },
        y,
    ]
}

fn lesion(s: &Scene, f: &Finding, texture: &Texture, (x, y): (f32, f32), lung: f32, v: f32) -> f32 {
    let side = f.side.unwrap_or(Side::Left);
    let [cx, cy] = zone_centre(side, f.zone);
    let lateral = x.abs();
    match f.kind {
        // Already in the width of the heart.
        FindingKind::Cardiomegaly => v,
        FindingKind::Nodule => {
            let r = 0.045 + 0.025 * f.size;
            mix(
                v,
                0.72,
                0.85 * lung * inside(ellipse(x, y, [cx, cy], [r, r]), 0.015),
            )
        }
        FindingKind::Mass => {
            let r = 0.11 + 0.06 * f.size;
            let rough = 0.03 * texture.at(2.0 * x, 2.0 * y);
            mix(
                v,
                0.76,
                0.9 * lung * inside(ellipse(x, y, [cx, cy], [r, 0.9 * r]) + rough, 0.025),
            )
        }
        FindingKind::Consolidation => {
            let r = 0.19 + 0.09 * f.size;
            let cloud = inside(ellipse(x, y, [cx, cy], [r, 0.8 * r]), 0.13);
            mix(
                v,
                0.68,
                lung * cloud * (0.45 + 0.55 * texture.at(1.6 * x, 1.6 * y)),
            )
        }
        FindingKind::Effusion => {
            // The surface of the fluid rises towards the chest wall.
            let base = s.domes[usize::from(side == Side::Left)];
            let level = base - 0.10 - 0.34 * f.size - 0.55 * (lateral - 0.3).max(0.0).powi(2);
            mix(
                v,
                0.78,
                0.94 * inside(level - y, 0.03) * wall(x, y) * inside(y - 0.9, 0.05),
            )
        }
        FindingKind::Pneumothorax => {
            // The lung has fallen away from the wall: black beyond a thin bright line, not over the mediastinum.
            let gap = 0.05 + 0.10 * f.size;
            let edge = ellipse(x, y, [side.sign() * 0.41, -0.06], [0.33, 0.72])
                + gap * inside(y - 0.25, 0.5);
            let apart = lung
                * inside(y - 0.3, 0.15)
                * inside(0.36 - lateral + 0.3 * (y + 0.4).max(0.0), 0.06);
            let air = inside(-edge, 0.012) * apart;
            let pleura = inside(edge.abs() - 0.008, 0.012) * apart;
            mix(v, 0.05, 0.92 * air) + 0.28 * pleura
        }
        FindingKind::Atelectasis => {
            let slope = 0.12 * (lateral - 0.4);
            let bands = [0.0, 0.085].map(|d| {
                inside(
                    (y - cy - 0.03 + slope + d).abs() - 0.016 - 0.012 * f.size,
                    0.014,
                )
            });
            let reach = inside((lateral - 0.45).abs() - 0.17 - 0.08 * f.size, 0.05);
            v + 0.34 * lung * reach * bands[0].max(0.7 * bands[1])
        }
    }
}

/// 1 within the chest wall, whatever fills the lung.
fn wall(x: f32, y: f32) -> f32 {
    inside(ellipse(x, y, [x.signum() * 0.41, 0.0], [0.34, 0.78]), 0.02)
}

fn implant(device: Device, x: f32, y: f32, v: f32) -> f32 {
    let metal = |v: f32, distance: f32| mix(v, 0.97, inside(distance, 0.008));
    let path = |points: &[[f32; 2]]| {
        points
            .windows(2)
            .map(|p| segment(x, y, p[0], p[1]))
            .fold(f32::INFINITY, f32::min)
    };
    match device {
        Device::Pacemaker => {
            let case = ellipse(x, y, [0.56, -0.52], [0.11, 0.085]);
            let lead = path(&[
                [0.48, -0.55],
                [0.2, -0.6],
                [0.03, -0.45],
                [-0.03, 0.1],
                [0.16, 0.38],
            ]);
            metal(metal(v, case), lead - 0.011)
        }
        Device::Port => {
            let ring = ellipse(x, y, [-0.52, -0.5], [0.06, 0.06]);
            let catheter = path(&[[-0.48, -0.53], [-0.25, -0.68], [-0.08, -0.5], [-0.06, 0.02]]);
            metal(metal(v, ring.abs() - 0.018), catheter - 0.009)
        }
        Device::Tube => {
            let walls = path(&[[0.0, -1.2], [0.005, -0.42]]);
            metal(v, (walls - 0.026).abs() - 0.007)
        }
    }
}

/// Smooth random values in 0..1: two octaves over a lattice.
struct Texture(Vec<f32>);

impl Texture {
    fn new(key: u64) -> Self {
        let mut draws = Stream::new(key, 1, 0, Purpose::Synth);
        Self((0..LATTICE * LATTICE).map(|_| draws.unit_f32()).collect())
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        0.6 * self.octave(x * 7.0, y * 7.0) + 0.4 * self.octave(x * 17.0 + 5.0, y * 17.0 + 9.0)
    }

    fn octave(&self, x: f32, y: f32) -> f32 {
        let (fx, fy) = (x - x.floor(), y - y.floor());
        let (ix, iy) = (x.floor() as i32, y.floor() as i32);
        let value = |dx: i32, dy: i32| {
            let wrap = |i: i32| i.rem_euclid(LATTICE as i32) as usize;
            self.0[wrap(iy + dy) * LATTICE + wrap(ix + dx)]
        };
        let top = mix(value(0, 0), value(1, 0), fx);
        let bottom = mix(value(0, 1), value(1, 1), fx);
        mix(top, bottom, fy)
    }
}

/// About standard normal: four uniform numbers of one block, summed (Irwin-Hall), scaled to variance 1.
fn noise(key: u64, pixel: u32) -> f32 {
    let block = philox4x32_10(
        [pixel, 0, 0, 2 << 8 | Purpose::Synth as u32],
        [key as u32, (key >> 32) as u32],
    );
    let sum: f32 = block.iter().map(|w| (w >> 8) as f32 / 16_777_216.0).sum();
    (sum - 2.0) * 1.732_050_8
}
