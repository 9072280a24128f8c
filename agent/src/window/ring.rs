//! A history of fixed length.

use std::collections::VecDeque;

/// The newest `capacity` items; older ones are forgotten.
#[derive(Debug, Clone)]
pub struct Ring<T> {
    items: VecDeque<T>,
    capacity: usize,
}

impl<T> Ring<T> {
    /// An empty history of so many items at most. Memory is taken as it is needed.
    pub const fn new(capacity: usize) -> Self {
        Self { items: VecDeque::new(), capacity }
    }

    /// Adds the newest item and forgets the oldest when there is no room.
    pub fn push(&mut self, item: T) {
        if self.items.len() == self.capacity {
            self.items.pop_front();
        }
        self.items.push_back(item);
    }

    /// The newest item.
    pub fn newest(&self) -> Option<&T> {
        self.items.back()
    }

    /// The newest item, to amend it.
    pub fn newest_mut(&mut self) -> Option<&mut T> {
        self.items.back_mut()
    }

    /// From the newest to the oldest.
    pub fn newest_first(&self) -> impl Iterator<Item = &T> {
        self.items.iter().rev()
    }

    /// From the oldest to the newest.
    pub fn oldest_first(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.items.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut ring = Ring::new(2);
        for n in 1..=3 {
            ring.push(n);
        }
        assert_eq!(ring.newest_first().collect::<Vec<_>>(), [&3, &2]);
        assert_eq!(ring.oldest_first().collect::<Vec<_>>(), [&2, &3]);
    }
}
