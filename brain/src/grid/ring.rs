//! The newest rows of a grid, in one piece of memory.

/// Rows without a gap, up to a fixed number, which may be 0.
#[derive(Debug, Clone)]
pub(crate) struct Ring<T> {
    capacity: usize,
    /// What stands where nothing is known.
    unknown: T,
    /// Number of the first row held.
    first: i64,
    /// Longer than `capacity` by a [`SLACK`]th at most: old rows are dropped many at a time, so that the others stay in
    /// one slice and are seldom moved.
    rows: Vec<T>,
}

/// Which part of its capacity a ring may hold besides, and takes memory for at a time.
const SLACK: usize = 32;

impl<T: Copy> Ring<T> {
    /// An empty ring of at most `capacity` rows. Memory is taken as rows come.
    pub(crate) const fn new(capacity: usize, unknown: T) -> Self {
        Self {
            capacity,
            unknown,
            first: 0,
            rows: Vec::new(),
        }
    }

    /// How many rows it may hold.
    pub(crate) fn capacity(&self) -> i64 {
        i64::try_from(self.capacity).unwrap_or(i64::MAX)
    }

    /// One past the newest row; 0 when there is none.
    pub(crate) fn end(&self) -> i64 {
        let len = i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        if len == 0 { 0 } else { self.first.saturating_add(len) }
    }

    /// Number of the first of [`rows`](Self::rows).
    pub(crate) fn begin(&self) -> i64 {
        self.first.max(self.end() - self.capacity())
    }

    /// The rows, oldest first.
    pub(crate) fn rows(&self) -> &[T] {
        let from = self.rows.len().saturating_sub(self.capacity);
        self.rows.get(from..).unwrap_or_default()
    }

    /// The rows from number `from` to `to`, the latter not included, as far as they are held.
    pub(crate) fn range(&self, from: i64, to: i64) -> &[T] {
        let begin = self.begin();
        let index = |row: i64| usize::try_from(row.saturating_sub(begin)).unwrap_or(0);
        let rows = self.rows();
        let to = index(to).min(rows.len());
        rows.get(index(from).min(to)..to).unwrap_or_default()
    }

    /// The row with this number, if it is held.
    pub(crate) fn get(&self, row: i64) -> Option<T> {
        let index = usize::try_from(row.checked_sub(self.begin())?).ok()?;
        self.rows().get(index).copied()
    }

    /// Sets a row. A row older than the ring reaches is left out.
    pub(crate) fn put(&mut self, row: i64, values: T) {
        if self.capacity == 0 {
            return;
        }
        if self.rows.is_empty() {
            self.first = row;
            self.rows.push(values);
            return;
        }
        if row < self.first && !self.reach_back(row) {
            return;
        }
        self.advance(row.saturating_add(1));
        let index = usize::try_from(row - self.first).ok();
        if let Some(old) = index.and_then(|index| self.rows.get_mut(index)) {
            *old = values;
        }
    }

    /// Makes room for rows before the first one ever, once for all between.
    fn reach_back(&mut self, row: i64) -> bool {
        if self.end().saturating_sub(row) > self.capacity() {
            return false;
        }
        let missing = usize::try_from(self.first - row).unwrap_or(0);
        self.reserve(missing);
        self.rows.splice(0..0, std::iter::repeat_n(self.unknown, missing));
        self.first = row;
        true
    }

    /// Forgets the rows from number `end` on.
    pub(crate) fn truncate(&mut self, end: i64) {
        let left = usize::try_from(end.saturating_sub(self.first)).unwrap_or(0);
        self.rows.truncate(left);
    }

    /// Makes `end` the end, with unknown rows up to it. A jump past all that is held forgets it.
    pub(crate) fn advance(&mut self, end: i64) {
        let new = end.saturating_sub(self.end());
        if self.rows.is_empty() || new <= 0 {
            return;
        }
        if new >= self.capacity() {
            self.rows.clear();
            self.first = end.saturating_sub(1);
            self.rows.push(self.unknown);
            return;
        }
        let new = usize::try_from(new).unwrap_or(0);
        let old = (self.rows.len() + new).saturating_sub(self.capacity);
        if old > self.capacity / SLACK {
            self.rows.drain(..old);
            self.first = self.first.saturating_add(i64::try_from(old).unwrap_or(0));
        }
        self.reserve(new);
        self.rows.resize(self.rows.len() + new, self.unknown);
    }

    /// Takes memory for `new` more rows, and for few that are not needed yet: doubling it would cost as much again.
    fn reserve(&mut self, new: usize) {
        if self.rows.len() + new > self.rows.capacity() {
            self.rows.reserve_exact(new.max(self.capacity / SLACK));
        }
    }
}
