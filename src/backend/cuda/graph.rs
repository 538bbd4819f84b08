//! A list of launches as one CUDA graph.

use super::driver::{Stream, check};
use crate::backend::BackendError;
use cudarc::driver::{result, sys};

/// A captured list, ready to be launched again and again.
pub struct Graph {
    graph: sys::CUgraph,
    exec: sys::CUgraphExec,
}

// SAFETY: handles that any thread may use, one at a time.
unsafe impl Send for Graph {}

impl Graph {
    /// Captures what `record` puts into `stream`, which does not run it.
    pub fn capture(
        stream: &Stream,
        record: impl FnOnce() -> Result<(), BackendError>,
    ) -> Result<Self, BackendError> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream lives.
        check("the begin of a graph", unsafe {
            result::stream::begin_capture(stream.raw(), mode)
        })?;
        let recorded = record();
        // The capture is ended in any case: a stream left in it refuses everything.
        // SAFETY: begun above.
        let graph = unsafe { result::stream::end_capture(stream.raw()) };
        if let Err(error) = recorded {
            if let Ok(graph) = graph {
                // SAFETY: destroyed once.
                let _ = unsafe { result::graph::destroy(graph) };
            }
            return Err(error);
        }
        let graph = check("the end of a graph", graph)?;
        let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY;
        // SAFETY: the graph was just made.
        match unsafe { result::graph::instantiate(graph, flags) } {
            Ok(exec) => Ok(Self { graph, exec }),
            Err(error) => {
                // SAFETY: destroyed once.
                let _ = unsafe { result::graph::destroy(graph) };
                check("the making of a graph", Err(error))
            }
        }
    }

    /// Puts it into `stream`.
    pub fn launch(&self, stream: &Stream) -> Result<(), BackendError> {
        // SAFETY: both live.
        check("the launch of a graph", unsafe {
            result::graph::launch(self.exec, stream.raw())
        })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made above, destroyed once.
        let _ = unsafe { result::graph::exec_destroy(self.exec) };
        // SAFETY: as above.
        let _ = unsafe { result::graph::destroy(self.graph) };
    }
}
