//! Where lanes that part at a branch meet again: the branch's immediate post-dominator in its function's control-flow graph.

use std::collections::{BTreeSet, HashMap};

use super::lower::{Control, Proto};

/// The control-flow graph of one function, over its lowered instructions.
pub struct Flow {
    /// First instruction of each basic block, ascending.
    pub starts: Vec<usize>,
    /// Blocks that each may go on to.
    pub successors: Vec<Vec<usize>>,
    /// For each branch instruction that may send lanes different ways, the instruction where they meet.
    pub joins: HashMap<usize, usize>,
}

impl Flow {
    /// One past the last instruction of a block.
    pub fn end(&self, block: usize, instructions: usize) -> usize {
        self.starts.get(block + 1).copied().unwrap_or(instructions)
    }
}

/// Builds the graph. The last instruction is the function's end; labels must all be known.
pub fn analyse(protos: &[Proto], labels: &HashMap<String, usize>) -> Flow {
    let end = protos.len() - 1;
    let mut leaders = BTreeSet::from([0, end]);
    for (index, proto) in protos.iter().enumerate() {
        match &proto.control {
            Control::None | Control::End => {}
            Control::Branch(targets) => {
                leaders.extend(targets.iter().map(|label| labels[label].min(end)));
                leaders.insert((index + 1).min(end));
            }
            Control::Return => {
                leaders.insert((index + 1).min(end));
            }
        }
    }
    let starts: Vec<usize> = leaders.into_iter().collect();
    let block_at = |instruction: usize| starts.partition_point(|start| *start <= instruction) - 1;
    let last = starts.len() - 1;
    let mut successors = Vec::with_capacity(starts.len());
    for (block, _) in starts.iter().enumerate() {
        let stop = starts.get(block + 1).copied().unwrap_or(protos.len());
        let tail = &protos[stop - 1];
        let mut next = Vec::new();
        match &tail.control {
            Control::None => next.push(block + 1),
            Control::End => {}
            Control::Branch(targets) => {
                for label in targets {
                    let target = block_at(labels[label].min(end));
                    if !next.contains(&target) {
                        next.push(target);
                    }
                }
                if tail.guard.is_some() && !next.contains(&(block + 1)) {
                    next.push(block + 1);
                }
            }
            Control::Return => {
                next.push(last);
                if tail.guard.is_some() && block + 1 != last {
                    next.push(block + 1);
                }
            }
        }
        successors.push(next);
    }
    let post = post_dominators(&successors, last);
    let mut joins = HashMap::new();
    for (index, proto) in protos.iter().enumerate() {
        let branch = matches!(proto.control, Control::Branch(_) | Control::Return);
        if branch {
            let join = post[block_at(index)].unwrap_or(last);
            joins.insert(index, starts[join]);
        }
    }
    Flow {
        starts,
        successors,
        joins,
    }
}

/// Immediate post-dominators (Cooper, Harvey and Kennedy 2001, on the reversed graph); none for blocks that never reach `exit`.
fn post_dominators(successors: &[Vec<usize>], exit: usize) -> Vec<Option<usize>> {
    let count = successors.len();
    let mut predecessors = vec![Vec::new(); count];
    for (block, next) in successors.iter().enumerate() {
        for &to in next {
            predecessors[to].push(block);
        }
    }
    // Post-order of the reversed graph from the exit, without recursion.
    let mut order = Vec::new();
    let mut seen = vec![false; count];
    let mut stack = vec![(exit, 0)];
    seen[exit] = true;
    while let Some((block, next)) = stack.pop() {
        if let Some(&from) = predecessors[block].get(next) {
            stack.push((block, next + 1));
            if !seen[from] {
                seen[from] = true;
                stack.push((from, 0));
            }
        } else {
            order.push(block);
        }
    }
    let mut number = vec![usize::MAX; count];
    for (n, &block) in order.iter().enumerate() {
        number[block] = n;
    }
    let mut post: Vec<Option<usize>> = vec![None; count];
    post[exit] = Some(exit);
    let mut changed = true;
    while changed {
        changed = false;
        for &block in order.iter().rev().filter(|block| **block != exit) {
            let mut best: Option<usize> = None;
            for &next in &successors[block] {
                if post[next].is_none() {
                    continue;
                }
                best = Some(match best {
                    None => next,
                    Some(mut other) => {
                        let mut next = next;
                        while next != other {
                            while number[next] < number[other] {
                                next = post[next].expect("processed");
                            }
                            while number[other] < number[next] {
                                other = post[other].expect("processed");
                            }
                        }
                        next
                    }
                });
            }
            if best.is_some() && post[block] != best {
                post[block] = best;
                changed = true;
            }
        }
    }
    post[exit] = None;
    post
}
