//! Graphs: operations and what each comes after.

use std::sync::Arc;

use super::codes::Code;
use super::findings;
use super::inject::Call;
use super::state::{Driver, driver};
use super::stream::{Action, Point, shorten};

/// One operation of a graph.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it does.
    pub action: Action,
    /// Earlier nodes that it comes after.
    pub after: Vec<usize>,
    /// The driver call that made it.
    pub call: &'static str,
}

/// A graph. Every node comes after only nodes before it in the list.
#[derive(Debug)]
pub struct Graph {
    /// Its nodes.
    pub nodes: Vec<Node>,
}

/// A graph that can be launched.
#[derive(Debug)]
pub struct Exec {
    context: u64,
    nodes: Arc<[Node]>,
    /// Where its last launch ends: launches of one graph never overlap.
    last: Option<Point>,
}

impl Exec {
    /// The context that it was made in.
    pub fn context(&self) -> u64 {
        self.context
    }
}

impl Driver {
    /// Keeps a graph and gives its nodes handles.
    pub fn add_graph(&mut self, graph: Graph) -> u64 {
        let count = graph.nodes.len();
        let handle = self.graphs.add(graph);
        for index in 0..count {
            self.nodes.add((handle, index));
        }
        handle
    }

    /// An order of nodes in which each comes after those that it must; with a seed, any such order.
    fn order(&mut self, nodes: &[Node]) -> Vec<usize> {
        let mut left: Vec<usize> = (0..nodes.len()).collect();
        if self.config.seed == 0 {
            return left;
        }
        let mut done = vec![false; nodes.len()];
        let mut order = Vec::with_capacity(nodes.len());
        while !left.is_empty() {
            let ready = |index: &usize| nodes[*index].after.iter().all(|&before| done[before]);
            let ready: Vec<usize> = (0..left.len())
                .filter(|&place| ready(&left[place]))
                .collect();
            let next = left.remove(ready[self.choose(ready.len())]);
            done[next] = true;
            order.push(next);
        }
        order
    }
}

/// `cuGraphCreate`
pub fn create() -> Result<u64, Code> {
    let mut driver = driver()?;
    Ok(driver.add_graph(Graph { nodes: Vec::new() }))
}

/// `cuGraphDestroy`
pub fn destroy(graph: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    driver.graphs.remove(graph)?;
    driver.nodes.retain(|&(of, _)| of != graph);
    Ok(())
}

/// `cuGraphClone`
pub fn clone(graph: u64) -> Result<u64, Code> {
    let mut driver = driver()?;
    let nodes = driver.graphs.get(graph)?.nodes.clone();
    Ok(driver.add_graph(Graph { nodes }))
}

/// `cuGraphGetNodes`: the nodes' handles in order.
pub fn nodes(graph: u64) -> Result<Vec<u64>, Code> {
    let driver = driver()?;
    driver.graphs.get(graph)?;
    Ok(driver
        .nodes
        .iter()
        .filter(|(_, (of, _))| *of == graph)
        .map(|(handle, _)| handle)
        .collect())
}

/// `cuGraphNodeGetType`: a `CUgraphNodeType`.
pub fn node_type(node: u64) -> Result<i32, Code> {
    let driver = driver()?;
    let &(graph, index) = driver.nodes.get(node)?;
    let node = driver
        .graphs
        .get(graph)?
        .nodes
        .get(index)
        .ok_or(Code::INVALID_VALUE)?;
    Ok(match node.action {
        Action::Kernel(_) => 0,
        Action::Copy(_) => 1,
        Action::Fill(_) => 2,
        Action::Host(_) => 3,
        // Events and frees do not become nodes.
        Action::Nothing | Action::Record(..) | Action::Free(_) => 5,
    })
}

/// Adds a node that comes after the nodes of these handles.
pub fn add_node(graph: u64, action: Action, dependencies: &[u64]) -> Result<u64, Code> {
    let mut driver = driver()?;
    let mut after = Vec::new();
    for &dependency in dependencies {
        let &(of, index) = driver.nodes.get(dependency)?;
        if of != graph || after.contains(&index) {
            return Err(Code::INVALID_VALUE);
        }
        after.push(index);
    }
    let nodes = &mut driver.graphs.get_mut(graph)?.nodes;
    nodes.push(Node {
        action,
        after,
        call: findings::call(),
    });
    let index = nodes.len() - 1;
    Ok(driver.nodes.add((graph, index)))
}

/// `cuGraphInstantiate`: the handle of what can be launched.
pub fn instantiate(graph: u64, flags: u64) -> Result<u64, Code> {
    // Free on launch, upload, launch from the device, node priorities.
    if flags & !0b1111 != 0 {
        return Err(Code::INVALID_VALUE);
    }
    if flags & 0b0100 != 0 {
        findings::note("graphs that the device launches are not there");
        return Err(Code::NOT_SUPPORTED);
    }
    let mut driver = driver()?;
    let context = driver.current()?;
    driver.refuse_unsafe()?;
    let nodes = driver.graphs.get(graph)?.nodes.as_slice().into();
    Ok(driver.execs.add(Exec {
        context,
        nodes,
        last: None,
    }))
}

/// `cuGraphExecDestroy`: a launch that is queued still runs.
pub fn destroy_exec(exec: u64) -> Result<(), Code> {
    driver()?.execs.remove(exec).map(drop)
}

/// `cuGraphUpload`: nothing needs to be prepared.
pub fn upload(exec: u64, stream: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(stream)?;
    driver.execs.get(exec)?;
    driver.refuse_while_capturing(stream)
}

/// `cuGraphLaunch`
pub fn launch(handle: u64, stream: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(stream)?;
    driver.inject(Call::Launch)?;
    let exec = driver.execs.get(handle)?;
    let (nodes, last, context) = (Arc::clone(&exec.nodes), exec.last, exec.context);
    let this = driver.streams.get(stream)?;
    if this.context != context {
        findings::note("the graph and the stream belong to different contexts");
        return Err(Code::INVALID_HANDLE);
    }
    if this.capture.is_some() {
        return driver.capture_graph(stream, &nodes);
    }
    driver.legacy_is_free(stream)?;
    if let Some(last) = last {
        driver.queue(stream, Action::Nothing, vec![last])?;
    }
    for index in driver.order(&nodes) {
        let node = &nodes[index];
        driver.queue(stream, node.action.clone(), Vec::new())?;
        // A report names the call that made the node, not the launch.
        if let Some(operation) = driver.streams.get_mut(stream)?.queue.back_mut() {
            operation.call = node.call;
        }
    }
    let end = driver.end(stream);
    driver.execs.get_mut(handle)?.last = Some(end);
    drop(shorten(driver, stream));
    Ok(())
}
