//! The states that something has been in, and how far a state is from all of them.

use std::collections::VecDeque;

use crate::stored::{Broken, Reader, Writer};

/// A state within this of a remembered one is the same, in units of the scale.
pub(crate) const RADIUS: f64 = 0.03;

/// Rows after which a new state is looked at again and learnt: an anomaly must not explain itself away while it starts.
pub(crate) const DELAY: u64 = 12;

/// The most states that are remembered.
pub(crate) const CAPACITY: usize = 512;

/// How new a state is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Novelty {
    /// Distance to the nearest remembered state, in units of the scale; 0 while none is remembered.
    pub(crate) distance: f64,
    /// Rows since the nearest state was last visited; `None` while none is remembered.
    pub(crate) rows_ago: Option<u64>,
    /// Where that state is.
    pub(crate) nearest: Option<usize>,
}

/// States that were visited. `P` is a state, and whoever asks knows how far two of them are apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Memory<P> {
    states: Vec<P>,
    /// The row at which each was last visited.
    visited: Vec<u64>,
    /// New states that are yet to be learnt, with the row of each, oldest first.
    waiting: VecDeque<(u64, P)>,
    /// Number of the next row.
    row: u64,
}

impl<P> Default for Memory<P> {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            visited: Vec::new(),
            waiting: VecDeque::new(),
            row: 0,
        }
    }
}

impl<P: Clone> Memory<P> {
    /// Takes in the state of the next row, and tells how new it is.
    ///
    /// `distance` of two states is at least 0 and in the same unit as `scale`, which is above 0 and may differ from row
    /// to row: the radius follows it.
    pub(crate) fn update(&mut self, state: P, scale: f64, distance: impl Fn(&P, &P) -> f64) -> Novelty {
        let row = self.row;
        self.row += 1;
        self.learn(row, RADIUS * scale, &distance);
        let Some((nearest, far)) = self.nearest(&state, &distance) else {
            self.waiting.push_back((row, state));
            return Novelty {
                distance: 0.0,
                rows_ago: None,
                nearest: None,
            };
        };
        let visited = self.visited.get_mut(nearest);
        let rows_ago = visited.as_ref().map(|visited| row - **visited);
        if far > RADIUS * scale {
            self.waiting.push_back((row, state));
        } else if let Some(visited) = visited {
            *visited = row;
        }
        Novelty {
            distance: far / scale,
            rows_ago,
            nearest: Some(nearest),
        }
    }

    /// A remembered state.
    pub(crate) fn state(&self, index: usize) -> Option<&P> {
        self.states.get(index)
    }

    /// Looks again at the state that was put aside [`DELAY`] rows ago; if it is still new it is remembered.
    fn learn(&mut self, row: u64, radius: f64, distance: impl Fn(&P, &P) -> f64) {
        let is_due = |(since, _): &mut (u64, P)| *since + DELAY <= row;
        let Some((_, state)) = self.waiting.pop_front_if(is_due) else {
            return;
        };
        if self.nearest(&state, distance).is_some_and(|(_, far)| far <= radius) {
            return;
        }
        if self.states.len() < CAPACITY {
            self.states.push(state);
            self.visited.push(row);
        } else if let Some(index) = self.oldest()
            && let (Some(known), Some(visited)) = (self.states.get_mut(index), self.visited.get_mut(index))
        {
            *known = state;
            *visited = row;
        }
    }

    /// The first of the states that were not visited for longest.
    fn oldest(&self) -> Option<usize> {
        let visits = self.visited.iter().enumerate();
        visits.min_by_key(|(_, visited)| **visited).map(|(index, _)| index)
    }

    /// The first of the nearest states, and how far it is.
    fn nearest(&self, state: &P, distance: impl Fn(&P, &P) -> f64) -> Option<(usize, f64)> {
        let mut nearest = None;
        let mut least = f64::INFINITY;
        for (index, known) in self.states.iter().enumerate() {
            let far = distance(known, state);
            if far < least {
                least = far;
                nearest = Some((index, far));
            }
        }
        nearest
    }
}

impl Memory<Box<[f32]>> {
    pub(crate) fn write(&self, to: &mut Writer) {
        to.whole(self.row);
        to.count(self.states.len());
        for (state, visited) in self.states.iter().zip(&self.visited) {
            to.whole(*visited);
            state.iter().for_each(|level| to.single(*level));
        }
        to.count(self.waiting.len());
        for (row, state) in &self.waiting {
            to.whole(*row);
            state.iter().for_each(|level| to.single(*level));
        }
    }

    /// Reads states of `metrics` levels.
    pub(crate) fn read(from: &mut Reader<'_>, metrics: usize) -> Result<Self, Broken> {
        let row = from.whole()?;
        let state = |from: &mut Reader<'_>| -> Result<(u64, Box<[f32]>), Broken> {
            // A state of the future would never be visited again, and learnt late.
            let at = Some(from.whole()?).filter(|at| *at <= row).ok_or(())?;
            Ok((at, (0..metrics).map(|_| from.single()).collect::<Result<_, _>>()?))
        };
        let known = (0..from.count(CAPACITY)?)
            .map(|_| state(from))
            .collect::<Result<Vec<_>, _>>()?;
        let (visited, states) = known.into_iter().unzip();
        let most = usize::try_from(DELAY).unwrap_or(0) + 1;
        let waiting = (0..from.count(most)?).map(|_| state(from)).collect::<Result<_, _>>()?;
        Ok(Self {
            states,
            visited,
            waiting,
            row,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as a distance is called")]
    fn far(a: &f64, b: &f64) -> f64 {
        (a - b).abs()
    }

    #[test]
    fn a_state_is_learnt_after_the_delay_and_then_known() {
        let mut memory = Memory::default();
        for row in 0..12 {
            assert_eq!(memory.update(1.0, 1.0, far).rows_ago, None, "row {row}");
        }
        let known = memory.update(1.0, 1.0, far);
        assert_eq!((known.distance, known.rows_ago), (0.0, Some(0)));
        // The others that waited are the same state by now.
        for _ in 0..20 {
            memory.update(1.02, 1.0, far);
        }
        assert_eq!((memory.states.len(), memory.waiting.len()), (1, 0));
        let new = memory.update(2.0, 0.5, far);
        assert_eq!((new.distance, new.rows_ago), (2.0, Some(1)));
    }

    #[test]
    fn the_radius_follows_the_scale_of_the_row_that_looks_again() {
        let mut memory = Memory::default();
        memory.update(0.0, 1.0, far);
        for _ in 0..12 {
            memory.update(0.0, 1.0, far);
        }
        memory.update(0.5, 1.0, far);
        for _ in 0..12 {
            memory.update(0.0, 100.0, far);
        }
        assert_eq!(memory.states, [0.0], "half a unit is nothing at a scale of a hundred");
    }

    #[test]
    fn a_full_memory_forgets_what_was_not_visited_for_longest() {
        let mut memory = Memory::default();
        let row = |memory: &mut Memory<f64>, state: usize| memory.update(state as f64, 1.0, far).distance;
        for state in 0..CAPACITY + 11 {
            row(&mut memory, state);
        }
        assert_eq!(row(&mut memory, 0), 0.0, "visited: the next to go is 1");
        assert_eq!(memory.states.len(), CAPACITY);
        for _ in 0..24 {
            row(&mut memory, 600);
        }
        assert_eq!(row(&mut memory, 0), 0.0);
        assert!(row(&mut memory, 1) > 0.0, "forgotten");
    }
}
