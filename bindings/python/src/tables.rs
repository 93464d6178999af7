//! Whether a `dict` or a `set` of keys that a script has chosen is made in linear time.
//!
//! Python's hash of numbers and dates has no secret, so whoever chooses the keys chooses their places in the table, and
//! may have each of them walk past all others. [`Table::linear`] takes that walk first, over bare hashes and by the rules
//! of CPython's tables (`Objects/dictobject.c`, `Objects/setobject.c`), and gives up where it is too long. Keys with
//! equal hashes meet in any table, so another implementation is safe from those at least.

/// Steps from one place of a table to the next that each key may take on average. Keys that nobody has chosen take two or
/// three; multiples of a power of two up to 60, in a table of some 100 000.
const STEPS: usize = 256;

/// So many steps is a key with the same hash, which Python compares.
const COMPARISON: usize = 8;

/// A kind of hash table of CPython.
#[derive(Clone, Copy)]
pub(crate) enum Table {
    Dict,
    Set,
}

impl Table {
    /// Whether keys of these hashes, put in one after the other, take a number of steps that is linear in their number.
    pub(crate) fn linear(self, hashes: &[isize]) -> bool {
        // So few cannot be in the way of each other more often.
        hashes.len() <= STEPS || Walk::new(self, hashes).is_some_and(|mut walk| walk.all().is_some())
    }
}

/// A table that is filled.
struct Walk<'a> {
    table: Table,
    hashes: &'a [isize],
    /// Places: 0, or one more than the index of the hash that is there.
    places: Vec<u32>,
    /// Steps that are left.
    left: usize,
}

impl<'a> Walk<'a> {
    /// None for more keys than can be counted here.
    fn new(table: Table, hashes: &'a [isize]) -> Option<Self> {
        u32::try_from(hashes.len()).ok()?.checked_add(1)?;
        Some(Walk { table, hashes, places: vec![0; 8], left: STEPS * STEPS })
    }

    /// Puts all hashes in, and makes the table larger when CPython does; None if that takes too many steps.
    fn all(&mut self) -> Option<()> {
        for index in 0..self.hashes.len() {
            let (used, size) = (index, self.places.len());
            if matches!(self.table, Table::Dict) && used >= size * 2 / 3 {
                // All again, in their order.
                self.places = vec![0; (3 * used).next_power_of_two()];
                (0..used).try_for_each(|index| self.insert(index))?;
            }
            self.left += STEPS;
            self.insert(index)?;
            let used = index + 1;
            if matches!(self.table, Table::Set) && used * 5 >= (size - 1) * 3 {
                // All again, in the order of their places.
                let wanted = if used > 50_000 { 2 * used } else { 4 * used };
                let before = std::mem::replace(&mut self.places, vec![0; (wanted + 1).next_power_of_two()]);
                before.into_iter().filter(|&place| place > 0).try_for_each(|place| self.insert(place as usize - 1))?;
            }
        }
        Some(())
    }

    /// Puts a hash into the first free place on its way.
    fn insert(&mut self, index: usize) -> Option<()> {
        let hash = self.hashes[index] as usize;
        let mask = self.places.len() - 1;
        let mut perturb = hash;
        let mut place = hash & mask;
        loop {
            self.left = self.left.checked_sub(1)?;
            // A set looks at nine neighbours too, where there are so many.
            let neighbours = if matches!(self.table, Table::Set) && place + 9 <= mask { 9 } else { 0 };
            for place in place..=place + neighbours {
                match self.places[place] {
                    0 => {
                        self.places[place] = index as u32 + 1;
                        return Some(());
                    }
                    other if self.hashes[other as usize - 1] as usize == hash => {
                        self.left = self.left.checked_sub(COMPARISON)?;
                    }
                    _ => {}
                }
            }
            perturb >>= 5;
            place = place.wrapping_mul(5).wrapping_add(perturb).wrapping_add(1) & mask;
        }
    }
}
