//! Numbers that begin with a line of the cache: a vector of AVX-512 that lies across two lines costs two loads, and an
//! allocation of numbers begins anywhere.

use std::ops::{Deref, DerefMut};

/// Numbers of a line.
const LINE: usize = 16;

/// A fixed count of numbers, the first at the begin of a line.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    numbers: Vec<f32>,
    /// Where the first lies.
    from: usize,
    count: usize,
}

impl Aligned {
    /// Zeros.
    pub(crate) fn zeros(count: usize) -> Self {
        let numbers = vec![0.0_f32; count + LINE - 1];
        let from = numbers.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE - 1);
        Self { numbers, from, count }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        &self.numbers[self.from..][..self.count]
    }
}

impl DerefMut for Aligned {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[self.from..][..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_begin_with_a_line() {
        for count in [0, 1, 15, 16, 1_000] {
            let mut numbers = Aligned::zeros(count);
            for (at, number) in numbers.iter_mut().enumerate() {
                *number = at as f32;
            }
            assert_eq!(numbers.as_ptr().addr() % 64, 0, "{count}");
            assert!(numbers.iter().enumerate().all(|(at, number)| *number == at as f32));
            assert_eq!(numbers.len(), count);
        }
    }
}
