//! Stream capture: operations become nodes of a graph instead of running.

use std::collections::BTreeSet;
use std::thread::ThreadId;

use super::codes::Code;
use super::findings;
use super::graph::{Graph, Node};
use super::state::{Driver, capture_mode, driver, exchange_capture_mode, thread};
use super::stream::Action;

/// What a capture forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Calls that could wait for the capturing stream are forbidden to every thread.
    Global,
    /// They are forbidden to the capturing thread.
    ThreadLocal,
    /// They are allowed.
    Relaxed,
}

impl Mode {
    /// Reads a `CUstreamCaptureMode`.
    pub fn parse(number: i32) -> Result<Mode, Code> {
        match number {
            0 => Ok(Mode::Global),
            1 => Ok(Mode::ThreadLocal),
            2 => Ok(Mode::Relaxed),
            _ => Err(Code::INVALID_VALUE),
        }
    }
}

/// A capture that goes on.
#[derive(Debug)]
pub struct Capture {
    /// The stream that it began in.
    origin: u64,
    mode: Mode,
    thread: ThreadId,
    nodes: Vec<Node>,
    /// Streams that take part, and those that have left by being destroyed, by the nodes at their end.
    loose: Vec<Vec<usize>>,
    valid: bool,
}

/// A stream's part in a capture.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The capture's number.
    pub capture: u64,
    /// Nodes that the next one depends on.
    pub nodes: Vec<usize>,
}

impl Driver {
    /// The valid capture that a stream takes part in, with its tail.
    fn capture_of(&mut self, stream: u64) -> Result<(&mut Capture, Tail), Code> {
        let tail = self
            .streams
            .get(stream)?
            .capture
            .clone()
            .ok_or(Code::ILLEGAL_STATE)?;
        let capture = self
            .captures
            .get_mut(&tail.capture)
            .ok_or(Code::STREAM_CAPTURE_INVALIDATED)?;
        if !capture.valid {
            return Err(Code::STREAM_CAPTURE_INVALIDATED);
        }
        Ok((capture, tail))
    }

    /// Makes an operation of a capturing stream a node.
    pub fn capture_action(&mut self, stream: u64, action: Action) -> Result<(), Code> {
        let (capture, tail) = self.capture_of(stream)?;
        capture.nodes.push(Node {
            action,
            after: tail.nodes,
            call: findings::call(),
        });
        let nodes = vec![capture.nodes.len() - 1];
        self.streams.get_mut(stream)?.capture = Some(Tail { nodes, ..tail });
        Ok(())
    }

    /// Adds the nodes of a graph to the capture of a stream, after what the stream has.
    pub fn capture_graph(&mut self, stream: u64, nodes: &[Node]) -> Result<(), Code> {
        let (capture, tail) = self.capture_of(stream)?;
        let base = capture.nodes.len();
        let mut leaves: BTreeSet<usize> = (base..base + nodes.len()).collect();
        for node in nodes {
            let mut node = node.clone();
            for before in &mut node.after {
                *before += base;
                leaves.remove(before);
            }
            if node.after.is_empty() {
                node.after.clone_from(&tail.nodes);
            }
            capture.nodes.push(node);
        }
        if !leaves.is_empty() {
            let nodes = leaves.into_iter().collect();
            self.streams.get_mut(stream)?.capture = Some(Tail { nodes, ..tail });
        }
        Ok(())
    }

    /// Number of a stream's capture, and the nodes that its next one depends on.
    pub fn captured_tail(&mut self, stream: u64) -> Result<(u64, Vec<usize>), Code> {
        let (_, tail) = self.capture_of(stream)?;
        Ok((tail.capture, tail.nodes))
    }

    /// A wait for an event that was recorded in a capture: the stream joins it.
    pub fn join_capture(&mut self, stream: u64, number: u64, nodes: &[usize]) -> Result<(), Code> {
        let Some(capture) = self.captures.get(&number) else {
            // The capture is over: the event names nothing that could ever be reached.
            self.invalidate_capture_of(stream);
            return Err(Code::CAPTURED_EVENT);
        };
        if !capture.valid {
            return Err(Code::STREAM_CAPTURE_INVALIDATED);
        }
        let this = self.streams.get_mut(stream)?;
        match &mut this.capture {
            _ if this.legacy => {
                self.invalidate(number);
                Err(Code::STREAM_CAPTURE_IMPLICIT)
            }
            None => {
                let nodes = nodes.to_vec();
                this.capture = Some(Tail {
                    capture: number,
                    nodes,
                });
                Ok(())
            }
            Some(tail) if tail.capture == number => {
                for &node in nodes {
                    if !tail.nodes.contains(&node) {
                        tail.nodes.push(node);
                    }
                }
                Ok(())
            }
            Some(tail) => {
                let other = tail.capture;
                self.invalidate(number);
                self.invalidate(other);
                Err(Code::STREAM_CAPTURE_MERGE)
            }
        }
    }

    fn invalidate(&mut self, number: u64) {
        if let Some(capture) = self.captures.get_mut(&number) {
            capture.valid = false;
        }
    }

    /// Makes the capture that a stream takes part in, if any, end in an error.
    pub fn invalidate_capture_of(&mut self, stream: u64) {
        if let Some(number) = self
            .streams
            .find(stream)
            .and_then(|stream| stream.capture.as_ref().map(|tail| tail.capture))
        {
            self.invalidate(number);
        }
    }

    /// Takes a stream out of its capture; what it has captured stays as a loose end.
    pub fn leave_capture(&mut self, stream: u64) {
        let tail = self
            .streams
            .find_mut(stream)
            .and_then(|stream| stream.capture.take());
        if let Some(tail) = tail
            && let Some(capture) = self.captures.get_mut(&tail.capture)
        {
            capture.loose.push(tail.nodes);
        }
    }

    /// A call that waits for a stream cannot be captured.
    pub fn refuse_while_capturing(&mut self, stream: u64) -> Result<(), Code> {
        if self.streams.get(stream)?.capture.is_some() {
            self.capture_of(stream)?;
            self.invalidate_capture_of(stream);
            return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        // Waiting for the legacy stream waits for all blocking streams.
        self.legacy_is_free(stream)
    }

    /// A call that waits for all streams of a context fails while one of them captures.
    pub fn refuse_context_wide(&mut self, context: u64) -> Result<(), Code> {
        let streams = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.context == context);
        let capturing: Vec<u64> = streams
            .filter_map(|(_, stream)| Some(stream.capture.as_ref()?.capture))
            .collect();
        for &number in &capturing {
            self.invalidate(number);
        }
        if capturing.is_empty() {
            Ok(())
        } else {
            Err(Code::STREAM_CAPTURE_UNSUPPORTED)
        }
    }

    /// A call that could wait for a capturing stream fails where a capture forbids it.
    pub fn refuse_unsafe(&mut self) -> Result<(), Code> {
        let (mode, thread) = (capture_mode(), thread());
        let mut refused = false;
        for capture in self.captures.values_mut() {
            let own = capture.thread == thread;
            let forbidden = match mode {
                Mode::Relaxed => false,
                Mode::ThreadLocal => own && capture.mode != Mode::Relaxed,
                Mode::Global => {
                    capture.mode == Mode::Global || own && capture.mode != Mode::Relaxed
                }
            };
            if forbidden {
                capture.valid = false;
                refused = true;
            }
        }
        if refused {
            findings::note("could wait for a stream that captures");
            return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        Ok(())
    }

    /// Captures that blocking streams of a legacy stream's context take part in.
    fn in_the_way_of(&self, stream: u64) -> Result<Vec<u64>, Code> {
        let this = self.streams.get(stream)?;
        let blocking = self
            .streams
            .iter()
            .filter(|(_, other)| other.context == this.context && other.blocking());
        let capturing = blocking.filter_map(|(_, other)| Some(other.capture.as_ref()?.capture));
        Ok(if this.legacy {
            capturing.collect()
        } else {
            Vec::new()
        })
    }

    /// The legacy stream cannot be used while a blocking stream of its context captures: each would wait for the other.
    pub fn legacy_is_free(&mut self, stream: u64) -> Result<(), Code> {
        let capturing = self.in_the_way_of(stream)?;
        for &number in &capturing {
            self.invalidate(number);
        }
        if capturing.is_empty() {
            Ok(())
        } else {
            Err(Code::STREAM_CAPTURE_IMPLICIT)
        }
    }

    /// Ends captures that began in a context's streams.
    pub fn drop_captures(&mut self, context: u64) {
        let streams = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.context == context);
        let numbers: Vec<u64> = streams
            .filter_map(|(_, stream)| Some(stream.capture.as_ref()?.capture))
            .collect();
        for number in numbers {
            self.captures.remove(&number);
            self.release(number);
        }
    }

    /// Takes all streams out of a capture that is over.
    fn release(&mut self, number: u64) {
        for (_, stream) in self.streams.iter_mut() {
            if stream
                .capture
                .as_ref()
                .is_some_and(|tail| tail.capture == number)
            {
                stream.capture = None;
            }
        }
    }
}

/// `cuStreamBeginCapture`
pub fn begin(handle: u64, mode: i32) -> Result<(), Code> {
    let mode = Mode::parse(mode)?;
    let mut driver = driver()?;
    let stream = driver.stream(handle)?;
    let this = driver.streams.get(stream)?;
    if this.legacy {
        findings::note("the legacy default stream cannot capture");
        return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
    }
    if this.capture.is_some() {
        return Err(Code::ILLEGAL_STATE);
    }
    driver.captured += 1;
    let number = driver.captured;
    driver.captures.insert(
        number,
        Capture {
            origin: stream,
            mode,
            thread: thread(),
            nodes: Vec::new(),
            loose: Vec::new(),
            valid: true,
        },
    );
    driver.streams.get_mut(stream)?.capture = Some(Tail {
        capture: number,
        nodes: Vec::new(),
    });
    Ok(())
}

/// `cuStreamEndCapture`: the graph's handle.
pub fn end(handle: u64) -> Result<u64, Code> {
    let mut driver = driver()?;
    let stream = driver.stream(handle)?;
    let tail = driver.streams.get(stream)?.capture.clone();
    let Some(tail) = tail else {
        findings::note("the stream is not capturing");
        return Err(Code::ILLEGAL_STATE);
    };
    let capture = driver
        .captures
        .get(&tail.capture)
        .ok_or(Code::STREAM_CAPTURE_INVALIDATED)?;
    if capture.mode != Mode::Relaxed && capture.thread != thread() {
        return Err(Code::STREAM_CAPTURE_WRONG_THREAD);
    }
    if capture.origin != stream {
        driver.invalidate(tail.capture);
        return Err(Code::STREAM_CAPTURE_UNMATCHED);
    }
    let capture = driver
        .captures
        .remove(&tail.capture)
        .ok_or(Code::STREAM_CAPTURE_INVALIDATED)?;
    let mut ends = capture.loose;
    for (other, this) in driver.streams.iter() {
        let part = this
            .capture
            .as_ref()
            .filter(|part| other != stream && part.capture == tail.capture);
        ends.extend(part.map(|part| part.nodes.clone()));
    }
    driver.release(tail.capture);
    if !capture.valid {
        return Err(Code::STREAM_CAPTURE_INVALIDATED);
    }
    let joined = before(&capture.nodes, &tail.nodes);
    if ends.iter().flatten().any(|node| !joined.contains(node)) {
        findings::note(
            "a stream that joined the capture was not joined back into the one where it began",
        );
        return Err(Code::STREAM_CAPTURE_UNJOINED);
    }
    Ok(driver.add_graph(Graph {
        nodes: capture.nodes,
    }))
}

/// The nodes and all that they depend on.
fn before(nodes: &[Node], ends: &[usize]) -> BTreeSet<usize> {
    let mut found: BTreeSet<usize> = BTreeSet::new();
    let mut wanted = ends.to_vec();
    while let Some(node) = wanted.pop() {
        if found.insert(node) {
            wanted.extend(&nodes[node].after);
        }
    }
    found
}

/// `CUstreamCaptureStatus` of a stream (0 none, 1 active, 2 invalidated) and its capture's number, from 1.
pub fn status(handle: u64) -> Result<(i32, u64), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(handle)?;
    // Asking spoils nothing.
    if !driver.in_the_way_of(stream)?.is_empty() {
        return Err(Code::STREAM_CAPTURE_IMPLICIT);
    }
    Ok(match &driver.streams.get(stream)?.capture {
        None => (0, 0),
        Some(tail) => match driver.captures.get(&tail.capture) {
            Some(capture) if capture.valid => (1, tail.capture),
            _ => (2, tail.capture),
        },
    })
}

/// `cuThreadExchangeStreamCaptureMode`: the mode before.
pub fn exchange_mode(mode: i32) -> Result<i32, Code> {
    let _driver = driver()?;
    Ok(exchange_capture_mode(Mode::parse(mode)?) as i32)
}
