//! A warp: 32 lanes that run the same instruction under a mask.
//!
//! Lanes that take different ways at a branch become *splits*, which meet again at the branch's immediate post-dominator: the
//! split that branched waits there, its children run one after the other. A split that reaches an operation of several lanes
//! (a shuffle, a barrier) whose other lanes are elsewhere waits, and another split runs until they meet: so threads of a warp make
//! progress on their own, as on hardware since Volta.

use std::collections::VecDeque;

use super::block::Block;
use super::rows::{Flow, LANES, Slot};
use crate::code::{CONST, Code, NO_ROW, Row};
use crate::report::{FaultKind, FindingKind};

/// No join: the split ends with its function, or with the kernel.
const NONE: u32 = u32::MAX;

/// Backward branches a warp may take before another gets its turn.
const SLICE: u32 = 1 << 10;

/// The same of a kernel whose lanes have been seen to wait for each other.
const SHORT_SLICE: u32 = 1 << 5;

/// Time slices after which lanes no longer wait for those that spin.
const SPINS: u32 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Can run.
    Ready,
    /// Waits at its `pc` for its children.
    Parent,
    /// Waits at its `pc` for the other lanes of an operation that it executes under `mask`.
    Lanes {
        required: u32,
        mask: u32,
        /// They may meet at different places.
        anywhere: bool,
    },
    /// Not in use.
    Free,
}

/// Lanes that run together.
#[derive(Debug, Clone, Copy)]
struct Split {
    pc: u32,
    /// Where it ends and its parent goes on.
    join: u32,
    mask: u32,
    parent: u32,
    children: u32,
    frame: u32,
    state: State,
}

impl Split {
    /// Whether both wait for the same lanes at the same operation, or at any that lets lanes meet from different places.
    fn meets(&self, other: &Split) -> bool {
        match (self.state, other.state) {
            (
                State::Lanes {
                    required, anywhere, ..
                },
                State::Lanes {
                    required: theirs,
                    anywhere: there,
                    ..
                },
            ) => {
                let here = self.pc == other.pc && self.frame == other.frame;
                required == theirs && (here || anywhere && there)
            }
            _ => false,
        }
    }
}

/// 64 bytes of registers, aligned for the host's vectors.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line(#[allow(dead_code, reason = "rows lie in it")] [u8; 64]);

/// One activation of a function.
struct Frame {
    registers: Vec<Line>,
    function: u32,
    return_pc: u32,
    caller: u32,
    /// The join that the calling split goes back to.
    join: u32,
    /// Where its local memory begins in a lane's.
    local: u32,
    /// Bytes of it.
    bytes: u32,
    depth: u32,
}

/// An asynchronous copy on its way: for each lane of the mask, bytes that will land in shared memory.
pub struct Copy {
    /// Lanes that copy.
    pub mask: u32,
    /// Bytes a lane.
    pub bytes: u32,
    /// Destination of each lane, an offset in shared memory.
    pub to: [u32; LANES],
    /// What will be there.
    pub data: Vec<u8>,
    /// The instruction that issued it.
    pub pc: u32,
}

/// A group of asynchronous copies, committed by the lanes of the mask.
pub struct CopyGroup {
    /// Lanes that committed it.
    pub mask: u32,
    /// Its copies.
    pub copies: Vec<Copy>,
}

/// What a warp waits for at a block's barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarrierWait {
    /// Barrier 0 to 15.
    pub barrier: u32,
    /// Threads that take part; 0: the whole block.
    pub threads: u32,
    /// A reduction over the threads' predicates, delivered when the barrier falls.
    pub reduction: Option<Reduction>,
    /// The instruction.
    pub pc: u32,
}

/// A reduction at a barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reduction {
    /// Which.
    pub kind: ReductionKind,
    /// Lanes of this warp whose predicate holds.
    pub bits: u32,
    /// Lanes that take part.
    pub mask: u32,
    /// Row of the result.
    pub to: Row,
}

/// Kinds of reduction at a barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReductionKind {
    /// The number of threads whose predicate holds.
    Popc,
    /// Whether all hold.
    And,
    /// Whether any holds.
    Or,
}

/// A warp of a block that runs.
pub struct Warp {
    /// Registers of the current frame, and constants: where rows are found.
    bases: [*mut u8; 2],
    /// Lanes that run now.
    pub mask: u32,
    /// The next instruction.
    pub pc: u32,
    code: *const Code,
    /// Lanes that have not exited.
    pub alive: u32,
    /// Index in the block.
    pub index: u32,
    /// Thread indices of the lanes, by dimension.
    pub tid: [[u32; LANES]; 3],
    /// The block that it belongs to.
    pub block: *mut Block,
    /// Set when the operation runs for several splits at once, whose lanes have met.
    together: bool,
    required: u32,
    anywhere: bool,
    current: u32,
    splits: Vec<Split>,
    frames: Vec<Frame>,
    free_frames: Vec<u32>,
    /// Local memory, lane after lane.
    pub local: Vec<Line16>,
    /// Bytes of local memory a lane has.
    pub local_stride: u32,
    /// Where the current frame's local memory begins.
    pub local_base: u32,
    /// Where it ends.
    pub local_end: u32,
    budget: u32,
    /// Time slices used up.
    slices: u32,
    /// Copies issued and not yet committed.
    pub open_copies: Vec<Copy>,
    /// Groups committed and not yet waited for, oldest first.
    pub copy_groups: VecDeque<CopyGroup>,
    /// The barrier that it waits at.
    pub waiting: Option<BarrierWait>,
    /// Why the kernel ends.
    pub fault: Option<(FaultKind, String)>,
    /// What the clock registers show: time slices used up and reads of a clock so far.
    pub steps: u64,
}

/// 16 bytes, aligned, of local memory.
#[repr(align(16))]
#[derive(Clone, Copy)]
pub struct Line16(pub [u8; 16]);

impl Warp {
    /// A warp that has not begun; [`Warp::start`] makes it one of a block's.
    pub fn new() -> Warp {
        Warp {
            bases: [std::ptr::null_mut(); 2],
            mask: 0,
            pc: 0,
            code: std::ptr::null(),
            alive: 0,
            index: 0,
            tid: [[0; LANES]; 3],
            block: std::ptr::null_mut(),
            together: false,
            required: 0,
            anywhere: false,
            current: 0,
            splits: Vec::new(),
            frames: Vec::new(),
            free_frames: Vec::new(),
            local: Vec::new(),
            local_stride: 0,
            local_base: 0,
            local_end: 0,
            budget: SLICE,
            slices: 0,
            open_copies: Vec::new(),
            copy_groups: VecDeque::new(),
            waiting: None,
            fault: None,
            steps: 0,
        }
    }

    /// Makes it warp `index` of `block`, which has `threads` by dimension, at the kernel's first instruction.
    ///
    /// # Safety
    /// `code`, `constants` (the rows that the code's [`Code::constants`] describe) and `block` outlive the warp's use.
    pub unsafe fn start(
        &mut self,
        code: *const Code,
        constants: *mut u8,
        block: *mut Block,
        index: u32,
        threads: [u32; 3],
    ) {
        let total = threads[0] * threads[1] * threads[2];
        let first = index * LANES as u32;
        let count = (total - first).min(LANES as u32);
        self.code = code;
        self.block = block;
        self.index = index;
        self.alive = if count == 32 {
            u32::MAX
        } else {
            (1 << count) - 1
        };
        let [mut x, mut y, mut z] = [
            first % threads[0],
            first / threads[0] % threads[1],
            first / (threads[0] * threads[1]),
        ];
        for lane in 0..LANES {
            (self.tid[0][lane], self.tid[1][lane], self.tid[2][lane]) = (x, y, z);
            x += 1;
            if x == threads[0] {
                (x, y) = (0, y + 1);
            }
            if y == threads[1] {
                (y, z) = (0, z + 1);
            }
        }
        self.free_frames.clear();
        self.free_frames.extend((0..self.frames.len() as u32).rev());
        // SAFETY: the caller's promise.
        let function = unsafe { &(&(*code).functions)[0] };
        self.local_stride = function.local.next_multiple_of(16);
        self.local.clear();
        self.local
            .resize(self.local_stride as usize * LANES / 16, Line16([0xFF; 16]));
        self.bases[1] = constants;
        self.splits.clear();
        self.splits.push(Split {
            pc: 0,
            join: NONE,
            mask: self.alive,
            parent: NONE,
            children: 0,
            frame: 0,
            state: State::Ready,
        });
        self.current = 0;
        let frame = self.new_frame(0, NONE, NONE, NONE, 0, 0);
        self.splits[0].frame = frame;
        self.bases[0] = self.frames[frame as usize].registers.as_mut_ptr().cast();
        self.local_base = 0;
        self.local_end = function.local;
        self.mask = self.alive;
        self.pc = function.entry;
        self.together = false;
        self.open_copies.clear();
        self.copy_groups.clear();
        self.waiting = None;
        self.fault = None;
        self.budget = SLICE;
        self.slices = 0;
        self.steps = 0;
    }

    /// The code that it runs.
    #[inline(always)]
    pub fn code(&self) -> &'static Code {
        // SAFETY: the launch keeps the code alive for as long as warps run; the reference does not leave the machine.
        unsafe { &*self.code }
    }

    /// The block that it belongs to.
    ///
    /// # Safety
    /// No other reference to the block is in use.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn block(&self) -> &'static mut Block {
        // SAFETY: the block outlives its warps' runs and one warp of it runs at a time.
        unsafe { &mut *self.block }
    }

    #[inline(always)]
    fn row(&self, row: Row) -> *mut u8 {
        let base = self.bases[(row >> 31) as usize];
        // SAFETY: rows are offsets within their area, by the construction of the code.
        unsafe { base.add((row & !CONST) as usize) }
    }

    /// The row's 32 values.
    ///
    /// # Safety
    /// The row holds slots of this width.
    #[inline(always)]
    pub unsafe fn load<T: Slot>(&self, row: Row) -> [T; LANES] {
        // SAFETY: the caller's promise.
        unsafe { self.row(row).cast::<[T; LANES]>().read() }
    }

    /// Sets the row's values in the lanes of `mask`.
    ///
    /// # Safety
    /// The row is a register of this width.
    #[inline(always)]
    pub unsafe fn store<T: Slot>(&mut self, row: Row, values: &[T; LANES], mask: u32) {
        let to = self.row(row).cast::<[T; LANES]>();
        // SAFETY: the caller's promise.
        unsafe {
            if mask == u32::MAX {
                to.write(*values);
            } else {
                let mut old = to.read();
                for l in 0..LANES {
                    old[l] = if mask >> l & 1 != 0 {
                        values[l]
                    } else {
                        old[l]
                    };
                }
                to.write(old);
            }
        }
    }

    /// The row itself, for operations that work in place.
    ///
    /// # Safety
    /// The row holds slots of this width, and no other reference to it is in use.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn row_mut<T: Slot>(&self, row: Row) -> &mut [T; LANES] {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.row(row).cast() }
    }

    /// A predicate's bits.
    ///
    /// # Safety
    /// The row is a predicate.
    #[inline(always)]
    pub unsafe fn load_pred(&self, row: Row) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { self.row(row).cast::<u32>().read() }
    }

    /// Sets a predicate's bits in the lanes of `mask`.
    ///
    /// # Safety
    /// The row is a predicate register.
    #[inline(always)]
    pub unsafe fn store_pred(&mut self, row: Row, bits: u32, mask: u32) {
        let to = self.row(row).cast::<u32>();
        // SAFETY: the caller's promise.
        unsafe { to.write(to.read() & !mask | bits & mask) }
    }

    /// Runs until the warp waits, yields, exits or fails. Never [`Flow::Next`] or [`Flow::Jump`].
    pub fn run<const COUNT: bool>(&mut self) -> Flow {
        let code = self.code();
        loop {
            // SAFETY: control flow stays within the code: every function ends with an instruction that does not fall through.
            let i = unsafe { code.instrs.get_unchecked(self.pc as usize) };
            let mut mask = self.mask;
            if i.guard != NO_ROW {
                // SAFETY: a guard is a predicate row.
                let bits = unsafe { self.load_pred(i.guard) };
                mask &= if i.negated { !bits } else { bits };
                if mask == 0 {
                    if COUNT {
                        // SAFETY: no reference to the block is held here.
                        unsafe { self.block() }
                            .counts()
                            .instruction(i.class, 0, self.mask);
                    }
                    self.pc += 1;
                    continue;
                }
            }
            if COUNT {
                // SAFETY: no reference to the block is held here.
                let block = unsafe { self.block() };
                block.counts().instruction(i.class, mask, self.mask);
            }
            // SAFETY: the instruction is the code's own.
            match unsafe { (i.exec)(self, i, mask) } {
                Flow::Next => self.pc += 1,
                Flow::Jump => {}
                Flow::WaitLanes => {
                    if COUNT {
                        // SAFETY: no reference to the block is held here.
                        unsafe { self.block() }.counts().not_yet(i.class, mask);
                    }
                    let (required, anywhere) = (self.required, self.anywhere);
                    let split = &mut self.splits[self.current as usize];
                    split.pc = self.pc;
                    split.mask = self.mask;
                    split.state = State::Lanes {
                        required,
                        mask,
                        anywhere,
                    };
                    match self.select() {
                        Flow::Jump => {}
                        other => return other,
                    }
                }
                other => return other,
            }
        }
    }

    /// Whether the lanes of `mask` may run an operation that takes all living lanes of `required`; if not, the caller returns
    /// [`Flow::WaitLanes`].
    #[inline(always)]
    pub fn all_here(&mut self, mask: u32, required: u32) -> bool {
        let missing = required & self.alive & !mask;
        self.required = required;
        self.anywhere = false;
        missing == 0 || self.together
    }

    /// The lanes that [`Warp::all_here`] just found missing may come to another instruction of the same kind.
    pub fn may_meet_anywhere(&mut self) {
        self.anywhere = true;
    }

    /// Goes on with another split: [`Flow::Jump`], or what ends the run.
    fn select(&mut self) -> Flow {
        if let Some(next) = self
            .splits
            .iter()
            .rposition(|split| split.state == State::Ready)
        {
            self.resume(next as u32);
            return Flow::Jump;
        }
        let Some(first) = self
            .splits
            .iter()
            .position(|split| matches!(split.state, State::Lanes { .. }))
        else {
            return Flow::Exit;
        };
        // Everyone waits for lanes: those at the same operation have met if together they are all that it needs.
        for candidate in first..self.splits.len() {
            let split = self.splits[candidate];
            let State::Lanes { required, .. } = split.state else {
                continue;
            };
            let mut union = 0;
            for other in &self.splits {
                if let State::Lanes { mask, .. } = other.state
                    && other.meets(&split)
                {
                    union |= mask;
                }
            }
            if required & self.alive & !union == 0 {
                return self.run_together(split, union);
            }
        }
        if self.unpark() {
            return self.select();
        }
        let State::Lanes { required, mask, .. } = self.splits[first].state else {
            unreachable!("a waiting split was found")
        };
        let pc = self.splits[first].pc;
        let missing = required & self.alive & !mask;
        let mut elsewhere = String::new();
        for split in &self.splits {
            if let State::Lanes { mask, .. } = split.state
                && split.pc != pc
            {
                elsewhere.push_str(&format!(
                    "; lanes {mask:#010x} wait at {}",
                    self.code().place(split.pc)
                ));
            }
        }
        let message = format!(
            "lanes {mask:#010x} wait for lanes {missing:#010x} of their warp, which never come to this operation{elsewhere}"
        );
        self.pc = pc;
        self.finding(FindingKind::Divergence, mask.trailing_zeros(), &message);
        self.fail(FaultKind::Timeout, mask.trailing_zeros(), &message)
    }

    /// Lets lanes go on that wait where a branch's ways meet: the others cannot come before them. Whether there were any.
    ///
    /// Threads that leave early may share the last instructions of a kernel with those that meet at a barrier before them.
    fn unpark(&mut self) -> bool {
        for index in 0..self.splits.len() {
            let split = self.splits[index];
            if split.state != State::Parent {
                continue;
            }
            let inside =
                |child: &&Split| child.parent == index as u32 && child.state != State::Free;
            let below = self
                .splits
                .iter()
                .filter(inside)
                .fold(0, |mask, child| mask | child.mask);
            let parked = split.mask & self.alive & !below;
            if parked == 0 {
                continue;
            }
            self.splits[index].mask &= !parked;
            if split.parent != NONE {
                self.splits[split.parent as usize].children += 1;
            }
            self.push(Split {
                mask: parked,
                children: 0,
                state: State::Ready,
                ..split
            });
            return true;
        }
        false
    }

    /// Runs the operation of `first` once for all splits that meet there.
    fn run_together(&mut self, first: Split, union: u32) -> Flow {
        let mut last = 0;
        for (index, split) in self.splits.iter_mut().enumerate() {
            if split.meets(&first) {
                split.state = State::Ready;
                split.pc += 1;
                last = index;
            }
        }
        let pc = self.splits[last].pc - 1;
        let one_mask = self.splits[last].mask;
        self.resume(last as u32);
        self.pc = pc;
        self.mask = union;
        self.together = true;
        let i = &self.code().instrs[pc as usize];
        // SAFETY: the instruction is the code's own.
        let flow = unsafe { (i.exec)(self, i, union) };
        self.together = false;
        self.mask = one_mask;
        self.pc = pc + 1;
        match flow {
            Flow::Next => Flow::Jump,
            other => other,
        }
    }

    fn resume(&mut self, split: u32) {
        self.current = split;
        let split = &self.splits[split as usize];
        self.pc = split.pc;
        self.mask = split.mask;
        let frame = &mut self.frames[split.frame as usize];
        self.bases[0] = frame.registers.as_mut_ptr().cast();
        self.local_base = frame.local;
        self.local_end = frame.local + frame.bytes;
    }

    /// Sends the current lanes different ways: each target with its lanes; all lanes of the mask are in one. They meet at `join`.
    pub fn diverge(&mut self, targets: &[(u32, u32)], join: u32) -> Flow {
        let current = self.current;
        let mut children = targets
            .iter()
            .filter(|(pc, mask)| *mask != 0 && *pc != join);
        let count = children.clone().count() as u32;
        let split = self.splits[current as usize];
        let (parent, first) = if join == split.join {
            // The lanes that are at the join have reached the end of this very split; the others go on as siblings.
            match children.next() {
                None => return self.end_split(),
                Some(&(pc, mask)) => {
                    let this = &mut self.splits[current as usize];
                    this.mask = mask;
                    this.pc = pc;
                    (split.parent, 1)
                }
            }
        } else {
            let this = &mut self.splits[current as usize];
            this.mask = self.mask;
            this.pc = join;
            this.children = 0;
            if count == 0 {
                self.pc = join;
                return Flow::Jump;
            }
            this.state = State::Parent;
            (current, 0)
        };
        let mut next = current;
        for &(pc, mask) in children {
            next = self.push(Split {
                pc,
                join,
                mask,
                parent,
                children: 0,
                frame: split.frame,
                state: State::Ready,
            });
        }
        if parent != NONE {
            self.splits[parent as usize].children += count - first;
        }
        self.resume(next);
        Flow::Jump
    }

    fn push(&mut self, split: Split) -> u32 {
        // Only the last splits are freed for reuse, so that a later one in the list is one that began later.
        while self
            .splits
            .last()
            .is_some_and(|last| last.state == State::Free)
        {
            self.splits.pop();
        }
        self.splits.push(split);
        self.splits.len() as u32 - 1
    }

    /// The current split has reached its join, or lost its last lane.
    fn end_split(&mut self) -> Flow {
        let mut index = self.current;
        loop {
            let split = &mut self.splits[index as usize];
            split.state = State::Free;
            let parent = split.parent;
            if parent == NONE {
                return self.select();
            }
            let above = &mut self.splits[parent as usize];
            above.children -= 1;
            if above.children > 0 {
                return self.select();
            }
            above.state = State::Ready;
            if above.mask != 0 {
                self.resume(parent);
                return Flow::Jump;
            }
            index = parent;
        }
    }

    /// The place where splits meet: ends the split whose join this is.
    pub fn join(&mut self) -> Flow {
        if self.splits[self.current as usize].join == self.pc {
            self.end_split()
        } else {
            Flow::Next
        }
    }

    /// Ends the lanes of `mask`.
    pub fn exit(&mut self, mask: u32) -> Flow {
        self.alive &= !mask;
        for split in &mut self.splits {
            split.mask &= !mask;
        }
        self.mask &= !mask;
        if self.mask == 0 {
            self.end_split()
        } else {
            Flow::Next
        }
    }

    fn new_frame(
        &mut self,
        function: u32,
        return_pc: u32,
        caller: u32,
        join: u32,
        local: u32,
        depth: u32,
    ) -> u32 {
        let callee = &self.code().functions[function as usize];
        let (lines, bytes) = (callee.frame as usize / 64, callee.local);
        let index = match self.free_frames.pop() {
            Some(index) => index,
            None => {
                self.frames.push(Frame {
                    registers: Vec::new(),
                    function,
                    return_pc,
                    caller,
                    join,
                    local,
                    bytes: 0,
                    depth,
                });
                self.frames.len() as u32 - 1
            }
        };
        let frame = &mut self.frames[index as usize];
        // What no instruction has written yet is the same in every block, and conspicuous.
        frame.registers.clear();
        frame.registers.resize(lines, Line([0xFF; 64]));
        (frame.function, frame.return_pc, frame.caller) = (function, return_pc, caller);
        (frame.join, frame.local, frame.depth) = (join, local, depth);
        frame.bytes = bytes;
        index
    }

    /// Calls `function`: the current lanes go on in a frame of their own. At `wide` in [`Code::wide`] stand the numbers of arguments
    /// and of results, then the local offset in this frame of each.
    pub fn call(&mut self, function: u32, wide: u32) -> Flow {
        let code = self.code();
        let callee = &code.functions[function as usize];
        let frame = self.splits[self.current as usize].frame;
        let caller = &self.frames[frame as usize];
        let depth = caller.depth + 1;
        let local = caller.local + code.functions[caller.function as usize].local;
        // SAFETY: no reference to the block is held here.
        let limit = unsafe { self.block() }.stack_limit();
        // What a chain of calls without recursion needs is always there.
        let once: u32 = code.functions.iter().map(|function| function.local).sum();
        if local + callee.local > limit + once || depth > limit / 16 + code.functions.len() as u32 {
            let lane = self.mask.trailing_zeros();
            return self.fail(
                FaultKind::StackOverflow,
                lane,
                &format!(
                    "a call to {} is {depth} deep with {} bytes of local memory; the stack limit is {limit} bytes",
                    callee.name,
                    local + callee.local
                ),
            );
        }
        if self.local_stride < local + callee.local {
            self.grow_local((local + callee.local).max(self.local_stride * 2));
        }
        let join = std::mem::replace(&mut self.splits[self.current as usize].join, NONE);
        let new = self.new_frame(function, self.pc + 1, frame, join, local, depth);
        for (n, &(to, bytes)) in callee.params.iter().enumerate() {
            let from = code.wide[wide as usize + 2 + n];
            self.copy_local(self.local_base + from, local + to, bytes);
        }
        let split = &mut self.splits[self.current as usize];
        split.frame = new;
        split.pc = callee.entry;
        split.mask = self.mask;
        self.resume(self.current);
        Flow::Jump
    }

    /// The current lanes return from their function: what it returns goes where the call, which stands before `return_pc`, wants
    /// it.
    pub fn return_from(&mut self) -> Flow {
        let index = self.splits[self.current as usize].frame;
        let frame = &self.frames[index as usize];
        if frame.caller == NONE {
            return match self.exit(self.mask) {
                Flow::Next => unreachable!("all lanes have exited"),
                other => other,
            };
        }
        let (return_pc, caller, join, local) =
            (frame.return_pc, frame.caller, frame.join, frame.local);
        let function = frame.function;
        let back = self.frames[caller as usize].local;
        let code = self.code();
        let call = &code.instrs[return_pc as usize - 1];
        let first = call.more as usize + 2 + code.wide[call.more as usize] as usize;
        for (n, &(from, bytes)) in code.functions[function as usize].results.iter().enumerate() {
            self.copy_local(local + from, back + code.wide[first + n], bytes);
        }
        if !self.shared_frame(index) {
            self.free_frames.push(index);
        }
        let split = &mut self.splits[self.current as usize];
        split.frame = caller;
        split.join = join;
        split.pc = return_pc;
        split.mask = self.mask;
        self.resume(self.current);
        Flow::Jump
    }

    /// Whether lanes of another split are in this activation too, or in one that it has called: they went on where lanes part for
    /// good, and will return from it on their own.
    fn shared_frame(&self, index: u32) -> bool {
        let depth = self.frames[index as usize].depth;
        let others = self.splits.iter().enumerate().filter(|(at, split)| {
            *at != self.current as usize && split.state != State::Free && split.mask != 0
        });
        others.into_iter().any(|(_, split)| {
            let mut frame = split.frame;
            while self.frames[frame as usize].depth > depth {
                frame = self.frames[frame as usize].caller;
            }
            frame == index
        })
    }

    fn grow_local(&mut self, bytes: u32) {
        let stride = bytes.next_multiple_of(16);
        let mut local = vec![Line16([0xFF; 16]); stride as usize * LANES / 16];
        let (old, new) = (self.local_stride as usize / 16, stride as usize / 16);
        for lane in 0..LANES {
            local[lane * new..][..old].copy_from_slice(&self.local[lane * old..][..old]);
        }
        self.local = local;
        self.local_stride = stride;
    }

    fn copy_local(&mut self, from: u32, to: u32, bytes: u32) {
        for lane in 0..LANES as u32 {
            if self.mask >> lane & 1 != 0 {
                let base: *mut u8 = self.local.as_mut_ptr().cast();
                // SAFETY: both ranges are within the lane's local memory, which was grown for the frame.
                unsafe {
                    let base = base.add((lane * self.local_stride) as usize);
                    std::ptr::copy(
                        base.add(from as usize),
                        base.add(to as usize),
                        bytes as usize,
                    );
                }
            }
        }
    }

    /// Notes a step back in the code: the end of the time slice, if it was the last one.
    #[inline(always)]
    pub fn back_branch(&mut self) -> bool {
        self.budget -= 1;
        self.budget == 0
    }

    /// A new time slice. Another split of the warp gets its turn, if one can run: a lane may wait for another.
    pub fn new_slice(&mut self) {
        self.steps += 1;
        let split = &mut self.splits[self.current as usize];
        split.pc = self.pc;
        split.mask = self.mask;
        // Lanes that spin may wait for lanes that wait for them where their ways meet.
        self.slices += 1;
        // SAFETY: no reference to the block is held here.
        let spins = &mut unsafe { self.block() }.spins;
        if (*spins || self.slices.is_multiple_of(SPINS)) && self.unpark() {
            *spins = true;
        }
        self.budget = if *spins { SHORT_SLICE } else { SLICE };
        let ready = |split: &Split| split.state == State::Ready;
        let after = self
            .splits
            .iter()
            .skip(self.current as usize + 1)
            .position(ready);
        if let Some(next) = after.map(|n| n as u32 + self.current + 1) {
            self.resume(next);
        } else if let Some(next) = self.splits.iter().position(ready) {
            self.resume(next as u32);
        }
    }

    /// Ends the kernel. `lane` is the thread to name, `what` says what was wrong.
    #[cold]
    pub fn fail(&mut self, kind: FaultKind, lane: u32, what: &str) -> Flow {
        let message = self.describe(lane, what);
        self.fault = Some((kind, message));
        Flow::Fault
    }

    /// Notes what a check found, once for each instruction.
    #[cold]
    pub fn finding(&mut self, kind: FindingKind, lane: u32, what: &str) {
        // SAFETY: no reference to the block is held by callers, which hold at most values read from it.
        let block = unsafe { self.block() };
        if !block.launch().options.checks.any() {
            return;
        }
        let pc = self.pc;
        if block.first_finding(kind, pc) {
            let message = self.describe(lane, what);
            block.add_finding(kind, pc, message);
        }
    }

    fn describe(&self, lane: u32, what: &str) -> String {
        let lane = (lane as usize).min(LANES - 1);
        let code = self.code();
        // SAFETY: only read here.
        let block = unsafe { self.block() };
        let [bx, by, bz] = block.index;
        let (tx, ty, tz) = (self.tid[0][lane], self.tid[1][lane], self.tid[2][lane]);
        let inside = code
            .functions
            .iter()
            .find(|function| (function.entry..=function.end).contains(&self.pc))
            .filter(|function| function.name != code.name)
            .map(|function| format!(", in {}", function.name))
            .unwrap_or_default();
        format!(
            "{what} (kernel {}{inside}, block ({bx}, {by}, {bz}), thread ({tx}, {ty}, {tz}), {})",
            code.name,
            code.place(self.pc)
        )
    }
}

impl Default for Warp {
    fn default() -> Warp {
        Warp::new()
    }
}
