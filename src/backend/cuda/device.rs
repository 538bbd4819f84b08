//! The CUDA device: its memory, its streams, batches in and results out. What calls launch is in `launch.rs`.

use super::args::{DeviceRun, DeviceUpdate, Ptr};
use super::driver::{Block, Context, check};
use super::gpu::Gpu;
use super::graph::Graph;
use super::memory::{Format, Memory, bytes_offset, format};
use super::post::{Inbox, Outbox};
use super::probe;
use super::staging::Staging;
use crate::backend::{Backend, BackendError, Call, Floats, Run, Sizes, Space, Update, Upload};
use crate::ops;
use cudarc::driver::result;
use half::bf16;
use std::collections::HashMap;

/// A CUDA device: bf16 activations, f32 master weights.
// The order of the fields is the order in which they are freed: the context goes last.
pub struct Cuda {
    graphs: HashMap<usize, Option<Graph>>,
    pub(crate) gpu: Gpu,
    pub(crate) memory: Memory,
    staging: Staging,
    outbox: Outbox,
    inbox: Inbox,
    run: Block,
    pub(crate) update: Block,
    pub(crate) decayed: Block,
    /// Ranges in `decayed`.
    pub(crate) ranges: usize,
    name: String,
    peak_flops: f64,
    peak_bandwidth: f64,
    context: Context,
}

impl Cuda {
    /// Opens the device of that number.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] says what is missing and what to do.
    pub fn open(ordinal: usize) -> Result<Self, BackendError> {
        let found = probe::device(ordinal)?;
        let context = Context::new(found.raw)?;
        let run = Block::new(size_of::<DeviceRun>(), "the counts of a run")?;
        let gpu = Gpu::new(
            Ptr::new(run.address()),
            found.multiprocessors,
            found.capability,
        )?;
        gpu.check()?;
        Ok(Self {
            graphs: HashMap::new(),
            gpu,
            memory: Memory::new(&Sizes::default())?,
            staging: Staging::new(0)?,
            outbox: Outbox::new(0)?,
            inbox: Inbox::new(0)?,
            run,
            update: Block::new(size_of::<DeviceUpdate>(), "the settings of an update")?,
            decayed: Block::new(0, "the ranges of weight decay")?,
            ranges: 0,
            name: format!(
                "cuda:{} {}, sm_{}, {} multiprocessors, {} MiB, bf16",
                found.ordinal,
                found.name,
                found.capability,
                found.multiprocessors,
                found.memory_bytes >> 20
            ),
            peak_flops: found.peak_flops,
            peak_bandwidth: found.peak_bandwidth,
            context,
        })
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Memory, modules and streams are given back only once nothing uses them any more. A device that is lost has
        // nothing to wait for, and nothing could be done about it here.
        if self.context.bind().is_ok() {
            let _ = result::ctx::synchronize();
        }
    }
}

impl Backend for Cuda {
    fn describe(&self) -> String {
        self.name.clone()
    }

    fn half(&self) -> bool {
        true
    }

    fn uses_scratch(&self) -> bool {
        false
    }

    fn asynchronous(&self) -> bool {
        true
    }

    fn free_bytes(&self) -> Result<Option<u64>, BackendError> {
        self.context.bind()?;
        let (free, _) = check("the question for free memory", result::mem_get_info())?;
        // Kernels and graphs take some, which no plan counts.
        Ok(Some((free - free / 32) as u64))
    }

    fn peak_bandwidth(&self) -> Option<f64> {
        (self.peak_bandwidth > 0.0).then_some(self.peak_bandwidth)
    }

    fn peak_flops(&self) -> Option<f64> {
        (self.peak_flops > 0.0).then_some(self.peak_flops)
    }

    fn workspace(&self, call: &Call) -> Result<usize, BackendError> {
        self.scratch(call)
    }

    fn memory(&self, sizes: &Sizes) -> Vec<(&'static str, usize)> {
        let kept = |on: bool| if on { 4 * sizes.params } else { 0 };
        let batch = bytes_offset(sizes) + sizes.bytes;
        vec![
            ("parameters, f32 and bf16", 6 * sizes.params),
            ("gradients", kept(sizes.moments)),
            ("moments", 2 * kept(sizes.moments)),
            ("averaged parameters", kept(sizes.ema)),
            (
                "activations, their gradients, scratch",
                2 * sizes.arena + 4 * sizes.wide,
            ),
            ("workspace of the kernels", sizes.workspace),
            ("sums, scales, embeddings", 4 * sizes.io),
            ("batch, and the next one", 2 * batch),
        ]
    }

    fn reserve(&mut self, sizes: &Sizes) -> Result<(), BackendError> {
        self.context.bind()?;
        self.graphs.clear();
        // The old memory goes before the new one comes.
        self.memory = Memory::new(&Sizes::default())?;
        self.memory = Memory::new(sizes)?;
        self.gpu.workspace = Ptr::new(self.memory.workspace.address());
        self.staging = Staging::new(self.memory.batch().1)?;
        self.outbox = Outbox::new(sizes.put)?;
        self.inbox = Inbox::new(sizes.fetched)?;
        let flat: Vec<u32> = sizes.decayed.iter().flatten().map(|n| *n as u32).collect();
        self.decayed = Block::new(4 * flat.len(), "the ranges of weight decay")?;
        self.ranges = sizes.decayed.len();
        self.gpu
            .stream
            .upload(self.decayed.address(), bytemuck::cast_slice(&flat))?;
        self.gpu.stream.synchronize("the preparation of the device")
    }

    fn stage(&mut self, upload: &Upload<'_>) -> Result<(), BackendError> {
        self.context.bind()?;
        let behind = self.memory.bytes_at();
        self.staging.stage(|host| {
            for (dst, src) in upload.words {
                let src: &[u8] = bytemuck::cast_slice(src);
                host[4 * dst.offset..][..src.len()].copy_from_slice(src);
            }
            for (dst, src) in upload.bytes {
                host[behind + dst.offset..][..src.len()].copy_from_slice(src);
            }
        })
    }

    fn begin(&mut self, run: &Run) -> Result<(), BackendError> {
        self.context.bind()?;
        self.staging.take(&self.gpu.stream, self.memory.batch().0)?;
        ops::copy::cuda::words(&self.gpu, DeviceRun::new(run).words(), self.run.address())
    }

    fn begin_update(&mut self, update: &Update) -> Result<(), BackendError> {
        self.context.bind()?;
        let words = DeviceUpdate::new(update).words();
        ops::copy::cuda::words(&self.gpu, words, self.update.address())
    }

    fn write(&mut self, dst: Floats, src: &[f64]) -> Result<(), BackendError> {
        let src: Vec<f32> = src.iter().map(|x| *x as f32).collect();
        self.write_f32(dst, &src)
    }

    fn read(&mut self, src: Floats, dst: &mut [f64]) -> Result<(), BackendError> {
        let mut single = vec![0.0; dst.len()];
        self.read_f32(src, &mut single)?;
        dst.iter_mut()
            .zip(single)
            .for_each(|(d, s)| *d = f64::from(s));
        Ok(())
    }

    fn put(&mut self, parts: &[(Floats, &[f64])]) -> Result<(), BackendError> {
        self.context.bind()?;
        let parts = parts.iter().map(|(dst, src)| {
            let len = src.len();
            (self.memory.single(Floats { len, ..*dst }), *src)
        });
        self.outbox.put(&self.gpu.stream, parts)
    }

    fn fetch(&mut self, src: Floats) -> Result<(), BackendError> {
        self.context.bind()?;
        let from = self.memory.single(src);
        self.inbox.fetch(&self.gpu.stream, from, src.len)
    }

    fn fetched(&mut self, dst: &mut [f64]) -> Result<(), BackendError> {
        self.context.bind()?;
        self.inbox.take(dst)
    }

    fn write_f32(&mut self, dst: Floats, src: &[f32]) -> Result<(), BackendError> {
        self.context.bind()?;
        let dst = Floats {
            len: src.len(),
            ..dst
        };
        let stream = &self.gpu.stream;
        if format(dst.space) == Format::Single {
            let at = self.memory.single(dst).address();
            stream.upload(at, bytemuck::cast_slice(src))?;
        }
        let mut half: Vec<bf16> = Vec::new();
        if matches!(dst.space, Space::Arena | Space::Params) {
            half.extend(src.iter().map(|x| bf16::from_f32(*x)));
            let at = self.memory.half(dst).address();
            stream.upload(at, bytemuck::cast_slice(&half))?;
        }
        // The numbers are the caller's again, and those in bf16 go.
        stream.synchronize("a copy to the device")
    }

    fn read_f32(&mut self, src: Floats, dst: &mut [f32]) -> Result<(), BackendError> {
        self.context.bind()?;
        let src = Floats {
            len: dst.len(),
            ..src
        };
        let stream = &self.gpu.stream;
        match format(src.space) {
            Format::Single => {
                let at = self.memory.single(src).address();
                stream.download(bytemuck::cast_slice_mut(dst), at)
            }
            Format::Half => {
                let mut half = vec![bf16::ZERO; dst.len()];
                let at = self.memory.half(src).address();
                stream.download(bytemuck::cast_slice_mut(&mut half), at)?;
                dst.iter_mut().zip(half).for_each(|(d, h)| *d = h.to_f32());
                Ok(())
            }
        }
    }

    fn synchronize(&mut self) -> Result<(), BackendError> {
        self.context.bind()?;
        self.gpu.stream.synchronize("the work in line")
    }

    fn run(&mut self, call: &Call) -> Result<(), BackendError> {
        self.context.bind()?;
        self.launch(call)
    }

    fn replay(&mut self, number: usize, calls: &[Call]) -> Result<(), BackendError> {
        self.context.bind()?;
        // A capture has nothing to wait for, so there is no graph where each launch is waited for.
        if self.gpu.sync {
            return calls.iter().try_for_each(|call| self.launch(call));
        }
        match self.graphs.get(&number) {
            Some(Some(graph)) => graph.launch(&self.gpu.stream),
            Some(None) => {
                let record = || calls.iter().try_for_each(|call| self.launch(call));
                let graph = Graph::capture(&self.gpu.stream, record)?;
                graph.launch(&self.gpu.stream)?;
                self.graphs.insert(number, Some(graph));
                Ok(())
            }
            // The first time kernels are loaded on the way, which a capture does not allow.
            None => {
                calls.iter().try_for_each(|call| self.launch(call))?;
                self.graphs.insert(number, None);
                Ok(())
            }
        }
    }
}
