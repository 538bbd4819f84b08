//! Pairs that may be alike, without comparing everything with everything.

/// Neighbours that an item is compared with in one order.
pub const WINDOW: usize = 24;

/// Calls `pair` with every two items at most [`WINDOW`] apart when `items` are sorted by `key`, the lower
/// number first. Items with equal keys keep their order.
pub fn neighbours<K: Ord>(items: &[u32], key: impl Fn(u32) -> K, mut pair: impl FnMut(u32, u32)) {
    let mut order: Vec<(K, u32)> = items.iter().map(|&i| (key(i), i)).collect();
    order.sort_unstable();
    for (n, &(_, a)) in order.iter().enumerate() {
        for &(_, b) in order.iter().skip(n + 1).take(WINDOW) {
            pair(a.min(b), a.max(b));
        }
    }
}

/// Disjoint groups of items.
pub struct Groups {
    /// The parent of each item; the root of a group is its lowest item.
    parent: Vec<u32>,
}

impl Groups {
    /// Every item by itself.
    pub fn new(items: usize) -> Self {
        // Items are records, which have 32-bit numbers.
        Self {
            parent: (0..items as u32).collect(),
        }
    }

    /// The lowest item of an item's group.
    pub fn root(&mut self, item: u32) -> u32 {
        let mut at = item;
        while self.parent[at as usize] != at {
            let up = self.parent[self.parent[at as usize] as usize];
            self.parent[at as usize] = up;
            at = up;
        }
        at
    }

    /// Makes one group of two.
    pub fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b) as usize] = a.min(b);
    }

    /// The groups of more than one item, by their lowest, items in order.
    pub fn several(mut self) -> Vec<Vec<u32>> {
        let items = self.parent.len() as u32;
        let mut rooted: Vec<(u32, u32)> = (0..items).map(|i| (self.root(i), i)).collect();
        rooted.sort_unstable();
        rooted
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|group| group.len() > 1)
            .map(|group| group.iter().map(|&(_, item)| item).collect())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_what_their_pairs_make() {
        let mut groups = Groups::new(7);
        for (a, b) in [(5, 2), (3, 4), (2, 3), (6, 6)] {
            groups.join(a, b);
        }
        assert_eq!(groups.root(5), 2);
        assert_eq!(groups.several(), [[2, 3, 4, 5]]);
    }

    #[test]
    fn equal_keys_meet_and_far_ones_do_not() {
        let items: Vec<u32> = (0..1000).collect();
        let mut met = Vec::new();
        // 17 and 983 alone have the key 0, at both ends of the list.
        let key = |i: u32| if i == 17 || i == 983 { 0 } else { 1000 + i };
        neighbours(&items, key, |a, b| met.push((a, b)));
        assert!(met.contains(&(17, 983)));
        assert!(!met.contains(&(100, 900)));
        assert!(met.len() <= 1000 * WINDOW);
    }
}
