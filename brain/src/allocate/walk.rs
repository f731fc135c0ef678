//! Maps that are walked side by side: what is looked up in the order of its names costs one pass and no searches.

use std::{collections::BTreeMap, iter::Peekable};

/// Looks names up in what has an order, each not before the one that was looked up last.
pub(super) struct Walk<I: Iterator>(Peekable<I>);

impl<'m, K: Ord + ?Sized + 'm, V: 'm, I: Iterator<Item = (&'m K, V)>> Walk<I> {
    /// From the first on.
    pub(super) fn new(sorted: impl IntoIterator<IntoIter = I>) -> Self {
        Self(sorted.into_iter().peekable())
    }

    /// What stands under `name`.
    pub(super) fn find<'w>(&'w mut self, name: &K) -> Option<&'w mut V>
    where
        'm: 'w,
    {
        while self.0.next_if(|(before, _)| **before < *name).is_some() {}
        let (found, value) = self.0.peek_mut()?;
        (**found == *name).then_some(value)
    }
}

/// What of `map` is under a name that `names` has too.
pub(super) fn shared<K: Ord + Clone, V: Clone, W>(map: &BTreeMap<K, V>, names: &BTreeMap<K, W>) -> BTreeMap<K, V> {
    let mut names = Walk::new(names);
    let found = map.iter().filter(|(name, _)| names.find(name).is_some());
    found.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_up_in_order_is_found() {
        let map: BTreeMap<u32, u32> = [1, 3, 4, 8].map(|name| (name, 10 * name)).into();
        let mut walk = Walk::new(&map);
        let found = [0, 1, 1, 2, 4, 5, 8, 9].map(|name| walk.find(&name).map(|value| **value));
        assert_eq!(found, [None, Some(10), Some(10), None, Some(40), None, Some(80), None]);
        let names = BTreeMap::from([0, 3, 8, 9].map(|name| (name, true)));
        assert_eq!(shared(&map, &names), BTreeMap::from([(3, 30), (8, 80)]));
    }
}
