//! Reads a golden file and compares with it.

use cxr_engine::backend::cpu::pool::Pool;
use cxr_engine::ops::Real;
use cxr_engine::ops::check::{GOLDEN_F64, assert_close};
use safetensors::{Dtype, SafeTensors};

/// One golden file.
pub struct Golden {
    op: &'static str,
    bytes: Vec<u8>,
}

impl Golden {
    /// The file of `op`.
    pub fn open(op: &'static str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
        let path = format!("{folder}/{op}.safetensors");
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { op, bytes }
    }

    /// The tensors of one case.
    pub fn case<'a>(&'a self, case: &'a str) -> Case<'a> {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("a valid safetensors file");
        Case {
            op: self.op,
            case,
            tensors,
        }
    }
}

/// What an op computed: names and values.
pub type Outputs<F> = Vec<(&'static str, Vec<F>)>;

/// The tensors of one case.
pub struct Case<'a> {
    op: &'static str,
    case: &'a str,
    tensors: SafeTensors<'a>,
}

impl Case<'_> {
    fn data(&self, name: &str) -> (Dtype, &[u8]) {
        let full = format!("{}.{name}", self.case);
        let tensor = self.tensors.tensor(&full);
        let tensor = tensor.unwrap_or_else(|error| panic!("{} {full}: {error}", self.op));
        (tensor.dtype(), tensor.data())
    }

    /// A tensor of floats, in the precision asked for.
    pub fn floats<F: Real>(&self, name: &str) -> Vec<F> {
        match self.data(name) {
            (Dtype::F32, data) => {
                let words = data.as_chunks().0.iter();
                words
                    .map(|&x| F::from_f64(f64::from(f32::from_le_bytes(x))))
                    .collect()
            }
            (Dtype::F64, data) => {
                let words = data.as_chunks().0.iter();
                words.map(|&x| F::from_f64(f64::from_le_bytes(x))).collect()
            }
            (dtype, _) => panic!("{} {name} has type {dtype:?}", self.op),
        }
    }

    /// A tensor of indices or words.
    pub fn words(&self, name: &str) -> Vec<u32> {
        let (dtype, data) = self.data(name);
        assert_eq!(dtype, Dtype::I32, "{} {name}", self.op);
        data.as_chunks()
            .0
            .iter()
            .map(|&x| u32::from_le_bytes(x))
            .collect()
    }

    /// A tensor of bytes.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let (dtype, data) = self.data(name);
        assert_eq!(dtype, Dtype::U8, "{} {name}", self.op);
        data.to_vec()
    }

    /// Compares every output of the reference in f64 and of the fast path in f32, with one thread and
    /// with two, with the tensors of the same names.
    pub fn check(
        &self,
        reference: impl FnOnce() -> Outputs<f64>,
        fast: impl Fn(&Pool) -> Outputs<f32>,
        bound: f64,
    ) {
        let outputs = reference();
        assert!(!outputs.is_empty());
        for (name, values) in outputs {
            let what = format!("{} {}.{name} f64", self.op, self.case);
            assert_close(&what, &values, &self.floats::<f64>(name), GOLDEN_F64);
        }
        for threads in [1, 2] {
            for (name, values) in fast(&Pool::new(threads)) {
                let what = format!("{} {}.{name} f32, {threads} threads", self.op, self.case);
                assert_close(&what, &values, &self.floats::<f64>(name), bound);
            }
        }
    }
}
