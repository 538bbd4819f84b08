//! What is in a picture: anatomy, exposure, findings.

use crate::rng::{Purpose, Stream};

/// Names of the labels, in the order of every record.
pub const LABELS: [&str; 9] = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Effusion",
    "Mass",
    "Nodule",
    "Pneumothorax",
    "Support Devices",
    "No Finding",
];

/// Side of the patient; the patient's right is on the left of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The patient's right.
    Right,
    /// The patient's left.
    Left,
}

impl Side {
    /// As in a report.
    pub fn name(self) -> &'static str {
        match self {
            Side::Right => "right",
            Side::Left => "left",
        }
    }

    /// -1 for the patient's right, 1 for the left: the sign of x in the picture.
    pub fn sign(self) -> f32 {
        match self {
            Side::Right => -1.0,
            Side::Left => 1.0,
        }
    }
}

/// Third of a lung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Upper third.
    Upper,
    /// Middle third.
    Middle,
    /// Lower third.
    Lower,
}

impl Zone {
    /// As in a report.
    pub fn name(self) -> &'static str {
        match self {
            Zone::Upper => "upper",
            Zone::Middle => "mid",
            Zone::Lower => "lower",
        }
    }
}

/// Kind of a finding; the order is that of [`LABELS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// Bands of collapsed lung.
    Atelectasis,
    /// A heart that is too wide.
    Cardiomegaly,
    /// A blurred dense area.
    Consolidation,
    /// Fluid at the base.
    Effusion,
    /// A large round density.
    Mass,
    /// A small round density.
    Nodule,
    /// Air between lung and chest wall.
    Pneumothorax,
}

/// A finding with its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// On which side; the heart has none.
    pub side: Option<Side>,
    /// In which third of the lung.
    pub zone: Zone,
    /// From 0 (barely there) to 1 (as large as it gets).
    pub size: f32,
}

/// Something put into the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// A pacemaker below the left clavicle with a lead to the heart.
    Pacemaker,
    /// A port below the right clavicle with a catheter.
    Port,
    /// A tube in the trachea.
    Tube,
}

/// Everything a picture and its report are made from. Lengths are in half image sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Key of textures and of the wording.
    pub key: u64,
    /// Shift of the patient to the side.
    pub shift: f32,
    /// Size of the patient.
    pub scale: f32,
    /// Half width of the heart.
    pub heart: f32,
    /// Height of the right and the left dome of the diaphragm.
    pub domes: [f32; 2],
    /// Distance between ribs.
    pub rib_gap: f32,
    /// Overall brightness.
    pub exposure: f32,
    /// Contrast.
    pub contrast: f32,
    /// Standard deviation of the noise.
    pub noise: f32,
    /// Findings, one of a kind and side at most.
    pub findings: Vec<Finding>,
    /// A device, if there is one.
    pub device: Option<Device>,
}

const KINDS: [FindingKind; 7] = [
    FindingKind::Atelectasis,
    FindingKind::Cardiomegaly,
    FindingKind::Consolidation,
    FindingKind::Effusion,
    FindingKind::Mass,
    FindingKind::Nodule,
    FindingKind::Pneumothorax,
];

impl Scene {
    /// Scene `index` of a seed.
    pub fn draw(seed: u64, index: u64) -> Self {
        let mut d = Stream::new(seed, 0, index, Purpose::Synth);
        let key = d.next_u64();
        let mut range = |low: f32, high: f32| low + (high - low) * d.unit_f32();
        let mut scene = Self {
            key,
            shift: range(-0.06, 0.06),
            scale: range(0.92, 1.06),
            heart: range(0.27, 0.34),
            domes: [range(0.42, 0.52), range(0.47, 0.58)],
            rib_gap: range(0.155, 0.185),
            exposure: range(-0.06, 0.06),
            contrast: range(0.85, 1.15),
            noise: range(0.008, 0.025),
            findings: Vec::new(),
            device: None,
        };
        // A third of the patients are healthy; the others have one to three findings.
        let count = [0, 0, 1, 1, 2, 3][d.below(6) as usize];
        for _ in 0..count {
            let finding = Self::finding(&mut d);
            let clash = |f: &Finding| {
                f.kind == finding.kind || (f.side == finding.side && f.zone == finding.zone)
            };
            if !scene.findings.iter().any(clash) {
                scene.findings.push(finding);
            }
        }
        if scene
            .findings
            .iter()
            .any(|f| f.kind == FindingKind::Cardiomegaly)
        {
            scene.heart += 0.1 + 0.06 * d.unit_f32();
        }
        scene.device = match d.below(12) {
            0 => Some(Device::Pacemaker),
            1 => Some(Device::Port),
            2 => Some(Device::Tube),
            _ => None,
        };
        scene
    }

    fn finding(d: &mut Stream) -> Finding {
        let kind = KINDS[d.below(7) as usize];
        let side = if d.below(2) == 0 {
            Side::Right
        } else {
            Side::Left
        };
        let zone = [Zone::Upper, Zone::Middle, Zone::Lower][d.below(3) as usize];
        let size = d.unit_f32();
        let zone = match kind {
            FindingKind::Effusion | FindingKind::Atelectasis | FindingKind::Cardiomegaly => {
                Zone::Lower
            }
            FindingKind::Pneumothorax => Zone::Upper,
            _ => zone,
        };
        let side = (kind != FindingKind::Cardiomegaly).then_some(side);
        Finding {
            kind,
            side,
            zone,
            size,
        }
    }

    /// 1 or 0 for each of [`LABELS`].
    pub fn labels(&self) -> Vec<i8> {
        let mut labels: Vec<i8> = KINDS
            .iter()
            .map(|k| i8::from(self.findings.iter().any(|f| f.kind == *k)))
            .collect();
        labels.push(i8::from(self.device.is_some()));
        labels.push(i8::from(self.findings.is_empty()));
        labels
    }
}
