//! Streams: queues of operations that run when something needs them done, and not before.
//!
//! Every operation names what must be done first as points in other queues. A point always lies in the past of the call that
//! names it, so what waits for what has no cycle, and running a queue up to a point by first running what it waits for ends.

use std::collections::VecDeque;
use std::io::Write;

use super::capture::Tail;
use super::codes::Code;
use super::copy::{Copy, Fill};
use super::findings;
use super::inject::Call;
use super::kernel::Launch;
use super::state::{Driver, Guard, driver, thread_number};
use std::sync::Arc;

/// Operations that a queue holds before the oldest are run.
const LIMIT: usize = 1024;

/// `CU_STREAM_NON_BLOCKING`
pub const NON_BLOCKING: u32 = 1;

/// A place in a stream: everything before `position` is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The stream's handle.
    pub stream: u64,
    /// Number of its operations that are done then, from the stream's beginning.
    pub position: u64,
}

/// What a program has asked to be called.
#[derive(Debug, Clone, Copy)]
pub enum HostCall {
    /// `cuLaunchHostFunc`
    Function(unsafe extern "C" fn(*mut libc::c_void), usize),
    /// `cuStreamAddCallback`, with the stream as the program named it.
    Callback(
        unsafe extern "C" fn(*mut libc::c_void, i32, *mut libc::c_void),
        u64,
        usize,
    ),
}

impl HostCall {
    fn run(self) {
        // SAFETY: the program gave the function and its argument for just this call.
        unsafe {
            match self {
                HostCall::Function(function, data) => function(data as *mut libc::c_void),
                HostCall::Callback(function, stream, data) => {
                    function(stream as *mut libc::c_void, 0, data as *mut libc::c_void);
                }
            }
        }
    }
}

/// What an operation does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Only waits.
    Nothing,
    /// Moves bytes.
    Copy(Copy),
    /// Fills memory.
    Fill(Fill),
    /// Runs a kernel.
    Kernel(Arc<Launch>),
    /// Calls the program.
    Host(HostCall),
    /// Says that an event's recording, by its number, is reached.
    Record(u64, u64),
    /// Gives memory back.
    Free(u64),
}

/// One operation of a stream.
#[derive(Debug)]
pub struct Operation {
    /// What it does.
    pub action: Action,
    /// What must be done first.
    pub after: Vec<Point>,
    /// The driver call that queued it.
    pub call: &'static str,
}

/// A stream.
#[derive(Debug)]
pub struct Stream {
    /// Its context.
    pub context: u64,
    /// Flags that it was made with.
    pub flags: u32,
    /// Its priority: lower comes first.
    pub priority: i32,
    /// Whether it is its context's legacy default stream.
    pub legacy: bool,
    /// Whether the program may still name it.
    pub open: bool,
    /// Operations that are not done.
    pub queue: VecDeque<Operation>,
    /// Number of operations done.
    pub done: u64,
    /// The first operation is a host function that runs now, without the lock.
    pub running: bool,
    /// The capture that it takes part in.
    pub capture: Option<Tail>,
}

impl Stream {
    /// A stream with nothing to do.
    pub fn new(context: u64, flags: u32, priority: i32) -> Stream {
        Stream {
            context,
            flags,
            priority,
            legacy: false,
            open: true,
            queue: VecDeque::new(),
            done: 0,
            running: false,
            capture: None,
        }
    }

    /// Position after the last operation.
    pub fn end(&self) -> u64 {
        self.done + self.queue.len() as u64
    }

    /// Whether it waits for the legacy default stream, and that for it.
    pub fn blocking(&self) -> bool {
        self.flags & NON_BLOCKING == 0
    }
}

/// How far driving a stream came.
enum Step {
    Reached,
    /// A host function of this stream is due.
    Host(u64, HostCall),
    /// A host function that another thread runs is in the way.
    Busy,
}

impl Driver {
    /// The stream that a program names: null and 1 are the legacy default stream, 2 is the thread's own default stream.
    pub fn stream(&mut self, handle: u64) -> Result<u64, Code> {
        let context = self.current()?;
        match handle {
            0 | 1 => Ok(self.contexts.get(context)?.legacy),
            2 => {
                let key = (context, thread_number());
                if let Some(&stream) = self.thread_streams.get(&key) {
                    return Ok(stream);
                }
                let stream = self.streams.add(Stream::new(context, 0, 0));
                self.thread_streams.insert(key, stream);
                Ok(stream)
            }
            _ => {
                let stream = self.streams.get(handle)?;
                if !stream.open {
                    findings::misuse("the stream was destroyed before");
                    return Err(Code::INVALID_HANDLE);
                }
                self.alive(stream.context)?;
                Ok(handle)
            }
        }
    }

    /// Whether everything before a point is done. A stream that is gone has nothing left to do.
    pub fn reached(&self, point: Point) -> bool {
        self.streams
            .find(point.stream)
            .is_none_or(|stream| stream.done >= point.position)
    }

    /// The end of a stream as it is now.
    pub fn end(&self, stream: u64) -> Point {
        Point {
            stream,
            position: self.streams.find(stream).map_or(0, Stream::end),
        }
    }

    /// The ends of all streams of a context.
    pub fn ends(&self, context: u64) -> Vec<Point> {
        let streams = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.context == context);
        streams.map(|(stream, _)| self.end(stream)).collect()
    }

    /// Puts an operation at the end of a stream that is not capturing.
    pub fn queue(
        &mut self,
        stream: u64,
        action: Action,
        mut after: Vec<Point>,
    ) -> Result<(), Code> {
        let this = self.streams.get(stream)?;
        let context = this.context;
        if this.legacy {
            // Blocking streams with work left come first.
            let others = self
                .streams
                .iter()
                .filter(|(_, other)| other.context == context && !other.legacy);
            let pending = others.filter(|(_, other)| other.blocking() && !other.queue.is_empty());
            after.extend(pending.map(|(handle, other)| Point {
                stream: handle,
                position: other.end(),
            }));
        } else if this.blocking() {
            after.push(self.end(self.contexts.get(context)?.legacy));
        }
        after.retain(|&point| !self.reached(point));
        let call = findings::call();
        self.streams.get_mut(stream)?.queue.push_back(Operation {
            action,
            after,
            call,
        });
        Ok(())
    }

    /// Ends a context with an error that lasts: what is queued is dropped.
    pub fn kill(&mut self, context: u64, code: Code) {
        if let Some(context) = self.contexts.find_mut(context) {
            context.error.get_or_insert(code);
        }
        for (_, stream) in self
            .streams
            .iter_mut()
            .filter(|(_, stream)| stream.context == context)
        {
            // A host function that runs now ends by itself.
            let keep = usize::from(stream.running);
            stream.done += (stream.queue.len() - keep) as u64;
            stream.queue.truncate(keep);
        }
    }

    /// Runs operations until all points are reached or a host function must be called.
    fn advance(&mut self, points: &[Point]) -> Step {
        for &goal in points {
            let mut wanted = vec![goal];
            while let Some(&point) = wanted.last() {
                if self.reached(point) {
                    wanted.pop();
                    continue;
                }
                let Some(stream) = self.streams.find(point.stream) else {
                    continue;
                };
                if stream.running {
                    return Step::Busy;
                }
                let Some(first) = stream.queue.front() else {
                    // Cannot be: the point lies behind what was ever queued. Nothing is left to run for it.
                    wanted.pop();
                    continue;
                };
                if let Some(&before) = first.after.iter().find(|&&before| !self.reached(before)) {
                    wanted.push(before);
                    continue;
                }
                if let Some(call) = self.perform_first(point.stream) {
                    return Step::Host(point.stream, call);
                }
            }
        }
        Step::Reached
    }

    /// Runs the first operation of a stream, or returns the host function that it is.
    fn perform_first(&mut self, handle: u64) -> Option<HostCall> {
        let stream = self.streams.find_mut(handle)?;
        if let Some(&Operation {
            action: Action::Host(call),
            ..
        }) = stream.queue.front()
        {
            stream.running = true;
            return Some(call);
        }
        let context = stream.context;
        let operation = stream.queue.pop_front()?;
        let result = self.perform(context, &operation);
        if let Some(stream) = self.streams.find_mut(handle) {
            stream.done += 1;
        }
        if let Err((code, message)) = result {
            findings::fault(&code.name(), &message);
            self.kill(context, code);
        }
        self.sweep(handle);
        None
    }

    /// Does what an operation asks for. The error is the code that ends the context and the reason in words.
    fn perform(&mut self, context: u64, operation: &Operation) -> Result<(), (Code, String)> {
        let late = |why: String| {
            (
                Code::ILLEGAL_ADDRESS,
                format!("{}, when it ran: {why}", operation.call),
            )
        };
        match &operation.action {
            Action::Nothing | Action::Host(_) => Ok(()),
            Action::Copy(copy) => self.copy(copy, operation.call).map_err(late),
            Action::Fill(fill) => self.fill(fill).map_err(late),
            Action::Kernel(launch) => self.run_kernel(context, launch),
            &Action::Record(event, number) => {
                let now = self.start.elapsed();
                if let Some(event) = self.events.find_mut(event) {
                    event.reach(number, now);
                }
                Ok(())
            }
            &Action::Free(address) => {
                if let Err(error) = self.give_back(address) {
                    findings::misuse(&error.to_string());
                }
                Ok(())
            }
        }
    }

    /// Forgets a destroyed stream that has nothing left to do.
    fn sweep(&mut self, handle: u64) {
        if self
            .streams
            .find(handle)
            .is_some_and(|stream| !stream.open && stream.queue.is_empty())
        {
            self.streams.discard(handle);
        }
    }

    /// Points after the frees that are queued in other streams than the goal's, with an odd seed: memory goes as early as
    /// the rules allow, so that a use in another stream that is not ordered before the free is seen.
    fn early_frees(&self, points: &[Point]) -> Vec<Point> {
        if self.config.seed.is_multiple_of(2) {
            return Vec::new();
        }
        let mut frees = Vec::new();
        for (handle, stream) in self.streams.iter() {
            if points.iter().any(|point| point.stream == handle) {
                continue;
            }
            let last = stream
                .queue
                .iter()
                .rposition(|operation| matches!(operation.action, Action::Free(_)));
            frees.extend(last.map(|last| Point {
                stream: handle,
                position: stream.done + last as u64 + 1,
            }));
        }
        frees
    }

    /// Writes what kernels printed to the program's stdout.
    fn flush_output(&mut self, context: u64) {
        let Some(context) = self.contexts.find_mut(context) else {
            return;
        };
        let output = std::mem::take(&mut context.output);
        if !output.is_empty() {
            let mut stdout = std::io::stdout().lock();
            // A reader that has gone away is the program's affair.
            let _ = stdout.write_all(&output).and_then(|()| stdout.flush());
        }
    }
}

/// Runs operations until all points are reached. The lock is given up while a host function runs.
pub fn drive(mut driver: Guard, points: &[Point]) -> Guard {
    let early = driver.early_frees(points);
    for points in [early.as_slice(), points] {
        loop {
            match driver.advance(points) {
                Step::Reached => break,
                Step::Busy => driver = driver.wait_for_host(),
                Step::Host(stream, call) => {
                    driver = driver.without_lock(|| call.run());
                    if let Some(this) = driver.streams.find_mut(stream) {
                        this.running = false;
                        // It may have been dropped with its context meanwhile.
                        if this.queue.pop_front().is_some() {
                            this.done += 1;
                        }
                    }
                    driver.sweep(stream);
                }
            }
        }
    }
    driver
}

/// Queues an operation; a queue that grew too long is shortened by running its oldest.
pub fn submit(mut driver: Guard, stream: u64, action: Action) -> Result<Guard, Code> {
    if driver.streams.get(stream)?.capture.is_some() {
        driver.capture_action(stream, action)?;
        return Ok(driver);
    }
    driver.legacy_is_free(stream)?;
    driver.queue(stream, action, Vec::new())?;
    Ok(shorten(driver, stream))
}

/// Runs the oldest operations of a queue that grew too long.
pub fn shorten(driver: Guard, stream: u64) -> Guard {
    let excess = driver
        .streams
        .find(stream)
        .filter(|stream| stream.queue.len() > LIMIT);
    let position = excess.map(|stream| stream.end() - LIMIT as u64);
    match position {
        Some(position) => drive(driver, &[Point { stream, position }]),
        None => driver,
    }
}

/// Waits until all points are reached and answers as a synchronisation of the context does.
pub fn finish(driver: Guard, context: u64, points: &[Point]) -> Result<Guard, Code> {
    let mut driver = drive(driver, points);
    driver.flush_output(context);
    if findings::take_owed() {
        findings::fault(
            &Code::LAUNCH_FAILED.name(),
            "SOFTCUDA_STRICT: something was found before this synchronisation",
        );
        driver.kill(context, Code::LAUNCH_FAILED);
    }
    driver.alive(context)?;
    Ok(driver)
}

/// `cuStreamCreateWithPriority`
pub fn create(flags: u32, priority: i32) -> Result<u64, Code> {
    let mut driver = driver()?;
    let context = driver.current()?;
    driver.inject(Call::Create)?;
    if flags & !NON_BLOCKING != 0 {
        return Err(Code::INVALID_VALUE);
    }
    let priority = priority.clamp(GREATEST_PRIORITY, 0);
    Ok(driver.streams.add(Stream::new(context, flags, priority)))
}

/// The priority that goes before all others; the least is 0.
pub const GREATEST_PRIORITY: i32 = -5;

/// `cuStreamDestroy`: what is queued still runs.
pub fn destroy(handle: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(handle)?;
    if handle <= 2 {
        findings::note("a default stream cannot be destroyed");
        return Err(Code::INVALID_HANDLE);
    }
    if driver.streams.get(stream)?.capture.is_some() {
        driver.invalidate_capture_of(stream);
        driver.leave_capture(stream);
    }
    driver.streams.get_mut(stream)?.open = false;
    driver.sweep(stream);
    Ok(())
}

/// `cuStreamSynchronize`
pub fn synchronize(handle: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(handle)?;
    driver.inject(Call::Sync)?;
    driver.refuse_while_capturing(stream)?;
    let context = driver.streams.get(stream)?.context;
    let points = driver.waited_for(stream);
    finish(driver, context, &points).map(drop)
}

impl Driver {
    /// What is done when a stream has been waited for: with the legacy default stream all blocking streams too.
    pub fn waited_for(&self, handle: u64) -> Vec<Point> {
        let mut points = vec![self.end(handle)];
        if let Some(legacy) = self.streams.find(handle).filter(|stream| stream.legacy) {
            let others = self
                .streams
                .iter()
                .filter(|(_, other)| other.context == legacy.context && other.blocking());
            points.extend(others.map(|(other, _)| self.end(other)));
        }
        points
    }
}

/// `cuStreamQuery`: asking moves the stream on by one operation.
pub fn query(handle: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(handle)?;
    driver.refuse_while_capturing(stream)?;
    driver.refuse_unsafe()?;
    let points = driver.waited_for(stream);
    nudge(driver, &points)
}

/// Passes when all points are reached; else runs one operation towards them and says that they are not.
pub fn nudge(driver: Guard, points: &[Point]) -> Result<(), Code> {
    let Some(&point) = points.iter().find(|&&point| !driver.reached(point)) else {
        return Ok(());
    };
    let done = driver
        .streams
        .find(point.stream)
        .map_or(0, |stream| stream.done);
    let context = driver.streams.get(point.stream)?.context;
    let driver = drive(
        driver,
        &[Point {
            position: done + 1,
            ..point
        }],
    );
    driver.alive(context)?;
    Err(Code::NOT_READY)
}

/// `cuCtxSynchronize`
pub fn synchronize_context() -> Result<(), Code> {
    let mut driver = driver()?;
    let context = driver.current()?;
    driver.inject(Call::Sync)?;
    driver.refuse_context_wide(context)?;
    let points = driver.ends(context);
    finish(driver, context, &points).map(drop)
}

/// `cuLaunchHostFunc` and `cuStreamAddCallback`
pub fn host_function(handle: u64, call: HostCall) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(handle)?;
    if matches!(call, HostCall::Callback(..)) {
        driver.refuse_while_capturing(stream)?;
    }
    submit(driver, stream, Action::Host(call)).map(drop)
}

/// Flags, priority and context of a stream.
pub fn describe(handle: u64) -> Result<(u32, i32, u64, u64), Code> {
    let mut driver = driver()?;
    let handle = driver.stream(handle)?;
    let stream = driver.streams.get(handle)?;
    Ok((
        stream.flags,
        stream.priority,
        stream.context,
        handle & 0xFF_FFFF_FFFF,
    ))
}
