//! Events: names for points in streams.

use std::time::Duration;

use super::codes::Code;
use super::findings;
use super::inject::Call;
use super::state::{Driver, driver};
use super::stream::{Action, Point, finish, nudge, shorten, submit};

/// `CU_EVENT_DISABLE_TIMING`
const DISABLE_TIMING: u32 = 2;
/// `CU_EVENT_BLOCKING_SYNC`
const BLOCKING_SYNC: u32 = 1;

/// Where an event was last recorded.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    /// Nowhere yet: waiting for it is over at once.
    Never,
    /// In a stream.
    Stream {
        /// The point that it names.
        point: Point,
        /// Number of this recording.
        number: u64,
        /// When the point was reached.
        time: Option<Duration>,
    },
    /// In a capture.
    Capture {
        /// The capture's number.
        capture: u64,
        /// Nodes that a wait for it depends on.
        nodes: Vec<usize>,
    },
}

/// An event.
#[derive(Debug)]
pub struct Event {
    context: u64,
    flags: u32,
    /// Where it was last recorded.
    pub recorded: Recorded,
}

impl Event {
    /// The recording of this number is reached now; an older one says nothing any more.
    pub fn reach(&mut self, reached: u64, now: Duration) {
        if let Recorded::Stream { number, time, .. } = &mut self.recorded
            && *number == reached
        {
            *time = Some(now);
        }
    }

    /// The context that it was made in.
    pub fn context(&self) -> u64 {
        self.context
    }
}

impl Driver {
    /// The event that a program names.
    fn event(&self, handle: u64) -> Result<&Event, Code> {
        let event = self.events.get(handle)?;
        self.alive(event.context)?;
        Ok(event)
    }

    /// The point to wait for on the host, if any.
    fn host_point(&self, handle: u64) -> Result<Option<Point>, Code> {
        match &self.event(handle)?.recorded {
            Recorded::Never => Ok(None),
            Recorded::Stream { point, .. } => Ok(Some(*point)),
            Recorded::Capture { .. } => Err(Code::CAPTURED_EVENT),
        }
    }
}

/// `cuEventCreate`
pub fn create(flags: u32) -> Result<u64, Code> {
    let mut driver = driver()?;
    let context = driver.current()?;
    driver.inject(Call::Create)?;
    if flags & !(DISABLE_TIMING | BLOCKING_SYNC) != 0 {
        findings::note(&format!(
            "flags {flags:#x}: events between processes are not there"
        ));
        return Err(Code::INVALID_VALUE);
    }
    Ok(driver.events.add(Event {
        context,
        flags,
        recorded: Recorded::Never,
    }))
}

/// `cuEventDestroy`: a recording that is queued still passes.
pub fn destroy(handle: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    driver.current()?;
    driver.events.remove(handle).map(drop)
}

/// `cuEventRecord`
pub fn record(handle: u64, stream: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(stream)?;
    let context = driver.event(handle)?.context;
    let this = driver.streams.get(stream)?;
    if this.context != context {
        findings::note("the event and the stream belong to different contexts");
        return Err(Code::INVALID_HANDLE);
    }
    if this.capture.is_some() {
        let (capture, nodes) = driver.captured_tail(stream)?;
        driver.events.get_mut(handle)?.recorded = Recorded::Capture { capture, nodes };
        return Ok(());
    }
    driver.recorded += 1;
    let number = driver.recorded;
    // Before the queue may be shortened: the recording can run at once.
    driver.legacy_is_free(stream)?;
    driver.queue(stream, Action::Record(handle, number), Vec::new())?;
    let point = driver.end(stream);
    driver.events.get_mut(handle)?.recorded = Recorded::Stream {
        point,
        number,
        time: None,
    };
    drop(shorten(driver, stream));
    Ok(())
}

/// `cuStreamWaitEvent`
pub fn wait(stream: u64, handle: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(stream)?;
    let capturing = driver.streams.get(stream)?.capture.is_some();
    match driver.event(handle)?.recorded.clone() {
        Recorded::Never => Ok(()),
        Recorded::Stream { .. } if capturing => {
            findings::note(
                "the event was recorded outside the capture that the stream takes part in",
            );
            driver.invalidate_capture_of(stream);
            Err(Code::STREAM_CAPTURE_ISOLATION)
        }
        Recorded::Stream { point, .. } => {
            driver.legacy_is_free(stream)?;
            if !driver.reached(point) {
                driver.queue(stream, Action::Nothing, vec![point])?;
                drop(shorten(driver, stream));
            }
            Ok(())
        }
        Recorded::Capture { capture, nodes } => driver.join_capture(stream, capture, &nodes),
    }
}

/// `cuEventQuery`: asking moves the event's stream on by one operation.
pub fn query(handle: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let point = driver.host_point(handle)?;
    driver.refuse_unsafe()?;
    nudge(driver, point.as_slice())
}

/// `cuEventSynchronize`
pub fn synchronize(handle: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let point = driver.host_point(handle)?;
    driver.inject(Call::Sync)?;
    driver.refuse_unsafe()?;
    let context = driver.event(handle)?.context;
    finish(driver, context, point.as_slice()).map(drop)
}

/// `cuEventElapsedTime`, in milliseconds.
pub fn elapsed(start: u64, end: u64) -> Result<f32, Code> {
    let driver = driver()?;
    let mut times = [Duration::ZERO; 2];
    for (handle, slot) in [start, end].into_iter().zip(&mut times) {
        let event = driver.event(handle)?;
        if event.flags & DISABLE_TIMING != 0 {
            findings::note("an event that was made without timing");
            return Err(Code::INVALID_HANDLE);
        }
        *slot = match event.recorded {
            Recorded::Never => {
                findings::note("an event that was never recorded");
                return Err(Code::INVALID_HANDLE);
            }
            Recorded::Stream {
                time: Some(time), ..
            } => time,
            Recorded::Stream { .. } => return Err(Code::NOT_READY),
            Recorded::Capture { .. } => return Err(Code::CAPTURED_EVENT),
        };
    }
    let [start, end] = times.map(|time| time.as_secs_f64());
    Ok(((end - start) * 1e3) as f32)
}

/// Queues a marker, for calls that only need the order.
pub fn mark(stream: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(stream)?;
    submit(driver, stream, Action::Nothing).map(drop)
}
