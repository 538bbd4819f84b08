//! Places every virtual buffer of a program in one arena.

use crate::backend::{Access, Call, Floats, Space};

/// Elements to which every buffer is aligned: 64 bytes of f32.
const ALIGN: usize = 16;

/// What is wrong with a recorded program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A call reads what nothing wrote.
    #[error("call {call} ({name}) reads buffer `{buffer}` before any call wrote it")]
    ReadBeforeWrite {
        /// Position in the program, forward and backward counted through.
        call: usize,
        /// The call's name.
        name: &'static str,
        /// The buffer's label.
        buffer: String,
    },
    /// A call writes into memory that it uses for something else.
    #[error("call {call} ({name}) writes a buffer that overlaps another one it uses")]
    Overlap {
        /// Position in the program, forward and backward counted through.
        call: usize,
        /// The call's name.
        name: &'static str,
    },
    /// A trained parameter that no backward call touches: it would silently never learn.
    #[error("parameter `{param}` has no path to any loss: no backward call adds to its gradient")]
    Unconnected {
        /// The parameter's name.
        param: String,
    },
}

/// What a virtual buffer is for: the classes of the memory table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Output of a forward call.
    Activation,
    /// Gradient of an activation.
    Gradient,
    /// Needed within one call only.
    Scratch,
}

/// A virtual buffer.
#[derive(Clone, Debug)]
pub struct Virtual {
    /// Name in messages.
    pub label: String,
    /// Capacity in elements.
    pub len: usize,
    /// Its class.
    pub usage: Usage,
    /// Whether it is kept in single precision, in [`Space::Wide`].
    pub wide: bool,
    /// Whether it must survive to the end of the forward pass, for the host to read.
    pub pinned: bool,
}

/// A program whose buffers have places.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Calls of the forward pass.
    pub forward: Vec<Call>,
    /// Calls of the backward pass.
    pub backward: Vec<Call>,
    /// Elements of the arena.
    pub arena: usize,
    /// Elements of the space of row statistics.
    pub wide: usize,
    /// Elements that would be needed without sharing over time, by class.
    pub unshared: [usize; 3],
    /// The place of each virtual buffer.
    pub places: Vec<Floats>,
    /// First and last call that names each buffer (forward and backward counted through).
    pub lifetimes: Vec<Option<[usize; 2]>>,
}

impl Plan {
    /// Measures lifetimes, places buffers by decreasing size at the lowest free offset (the
    /// "greedy by size" of Pisarchyk and Lee, 2020), and rewrites the calls.
    pub fn new(
        mut forward: Vec<Call>,
        mut backward: Vec<Call>,
        buffers: &[Virtual],
    ) -> Result<Self, PlanError> {
        let lifetimes = lifetimes(&mut forward, &mut backward, buffers)?;
        let mut places = vec![NOWHERE; buffers.len()];
        let arena = place(buffers, &lifetimes, Space::Arena, &mut places);
        let wide = place(buffers, &lifetimes, Space::Wide, &mut places);
        for call in forward.iter_mut().chain(&mut backward) {
            call.visit(&mut |f, _| {
                if f.space == Space::Virtual {
                    *f = places[f.offset];
                }
            });
        }
        for (at, call) in forward.iter_mut().chain(&mut backward).enumerate() {
            check_disjoint(at, call)?;
        }
        let mut unshared = [0; 3];
        for (buffer, life) in buffers.iter().zip(&lifetimes) {
            if life.is_some() {
                unshared[buffer.usage as usize] += buffer.len;
            }
        }
        Ok(Self {
            forward,
            backward,
            arena,
            wide,
            unshared,
            places,
            lifetimes,
        })
    }
}

fn lifetimes(
    forward: &mut [Call],
    backward: &mut [Call],
    buffers: &[Virtual],
) -> Result<Vec<Option<[usize; 2]>>, PlanError> {
    let mut lives: Vec<Option<[usize; 2]>> = vec![None; buffers.len()];
    let end_of_forward = forward.len();
    let mut fault = None;
    for (at, call) in forward.iter_mut().chain(backward).enumerate() {
        let name = call.name();
        call.visit(&mut |f, access| {
            if f.space != Space::Virtual {
                return;
            }
            let life = &mut lives[f.offset];
            match life {
                Some(l) => l[1] = at,
                None if access == Access::Write => *life = Some([at, at]),
                None => {
                    fault.get_or_insert(PlanError::ReadBeforeWrite {
                        call: at,
                        name,
                        buffer: buffers[f.offset].label.clone(),
                    });
                }
            }
        });
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    for (life, buffer) in lives.iter_mut().zip(buffers) {
        if let (Some(l), true) = (life, buffer.pinned) {
            l[1] = l[1].max(end_of_forward.saturating_sub(1));
        }
    }
    Ok(lives)
}

/// What devices rely on: within one call, a written buffer overlaps no other one.
fn check_disjoint(at: usize, call: &mut Call) -> Result<(), PlanError> {
    let name = call.name();
    let mut seen: Vec<(Floats, bool)> = Vec::new();
    let mut fault = false;
    call.visit(&mut |f, access| {
        let writes = access != Access::Read;
        fault |= f.len > 0
            && seen
                .iter()
                .any(|(g, w)| (writes || *w) && g.len > 0 && f.overlaps(g));
        seen.push((*f, writes));
    });
    if fault {
        Err(PlanError::Overlap { call: at, name })
    } else {
        Ok(())
    }
}

/// The place of a buffer that nothing uses.
const NOWHERE: Floats = Floats {
    space: Space::Arena,
    offset: 0,
    len: 0,
};

/// Places the buffers that belong to `space`; returns the elements it takes.
fn place(
    buffers: &[Virtual],
    lives: &[Option<[usize; 2]>],
    space: Space,
    places: &mut [Floats],
) -> usize {
    let mut order: Vec<usize> = (0..buffers.len())
        .filter(|&i| lives[i].is_some() && buffers[i].wide == (space == Space::Wide))
        .collect();
    // Ties by number, so that the layout is the same on every run.
    order.sort_by_key(|&i| (std::cmp::Reverse(buffers[i].len), i));
    let mut placed: Vec<usize> = Vec::new();
    let mut end = 0;
    for &i in &order {
        let Some(life) = lives[i] else { continue };
        let mut busy: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&j| lives[j].is_some_and(|l| l[0] <= life[1] && life[0] <= l[1]))
            .map(|&j| {
                (
                    places[j].offset,
                    places[j].offset + places[j].len.next_multiple_of(ALIGN),
                )
            })
            .collect();
        busy.sort_unstable();
        let need = buffers[i].len.next_multiple_of(ALIGN);
        let mut offset = 0;
        for (from, to) in busy {
            if offset + need <= from {
                break;
            }
            offset = offset.max(to);
        }
        places[i] = Floats {
            space,
            offset,
            len: buffers[i].len,
        };
        end = end.max(offset + need);
        placed.push(i);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Rows;
    use proptest::prelude::*;

    fn buffer(len: usize) -> Virtual {
        Virtual {
            label: "b".into(),
            len,
            usage: Usage::Activation,
            wide: false,
            pinned: false,
        }
    }

    fn copy(src: usize, dst: usize) -> Call {
        let at = |offset| Floats {
            space: Space::Virtual,
            offset,
            len: 0,
        };
        Call::Copy {
            rows: Rows::Fixed(0),
            c: 1,
            src: at(src),
            dst: at(dst),
            accumulate: false,
        }
    }

    fn zero(dst: usize) -> Call {
        let dst = Floats {
            space: Space::Virtual,
            offset: dst,
            len: 0,
        };
        Call::Zero {
            rows: Rows::Fixed(0),
            c: 1,
            dst,
        }
    }

    proptest! {
        #[test]
        fn no_two_live_buffers_overlap(lens in prop::collection::vec(1usize..200, 2..40), reads in prop::collection::vec(0usize..1000, 40)) {
            let buffers: Vec<_> = lens.iter().map(|l| buffer(*l)).collect();
            let mut forward = vec![zero(0)];
            forward.extend((1..lens.len()).map(|i| copy(reads[i] % i, i)));
            let plan = Plan::new(forward, Vec::new(), &buffers).expect("a sound program");
            for i in 0..lens.len() {
                for j in 0..i {
                    let (Some(a), Some(b)) = (plan.lifetimes[i], plan.lifetimes[j]) else { continue };
                    let both_live = a[0] <= b[1] && b[0] <= a[1];
                    prop_assert!(!(both_live && plan.places[i].overlaps(&plan.places[j])));
                    prop_assert!(plan.places[i].offset + plan.places[i].len <= plan.arena);
                }
            }
        }
    }

    #[test]
    fn memory_is_shared_over_time() {
        let buffers: Vec<_> = (0..4).map(|_| buffer(64)).collect();
        let plan = Plan::new(
            vec![zero(0), copy(0, 1), copy(1, 2), copy(2, 3)],
            Vec::new(),
            &buffers,
        )
        .expect("a sound program");
        assert_eq!(plan.arena, 128);
    }

    #[test]
    fn a_read_before_any_write_is_refused() {
        let error = Plan::new(vec![copy(0, 1)], Vec::new(), &[buffer(4), buffer(4)])
            .expect_err("nothing wrote 0");
        assert!(
            matches!(
                error,
                PlanError::ReadBeforeWrite {
                    call: 0,
                    name: "copy",
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn a_call_that_overlaps_itself_is_refused() {
        let error = Plan::new(vec![zero(0), copy(0, 0)], Vec::new(), &[buffer(4)])
            .expect_err("copy onto itself");
        assert!(
            matches!(error, PlanError::Overlap { call: 1, .. }),
            "{error}"
        );
    }
}
