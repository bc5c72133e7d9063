//! A stack that needs the heap only beyond `N` entries.

#[derive(Debug)]
pub(crate) struct InlineStack<T, const N: usize> {
    inline: [T; N],
    spill: Vec<T>,
    len: usize,
}

impl<T: Copy + Default, const N: usize> InlineStack<T, N> {
    pub(crate) fn new() -> Self {
        Self {
            inline: [T::default(); N],
            spill: Vec::new(),
            len: 0,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn push(&mut self, value: T) {
        match self.inline.get_mut(self.len) {
            Some(slot) => *slot = value,
            None => self.spill.push(value),
        }
        self.len += 1;
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        let top = self.len.checked_sub(1)?;
        let value = self.get(top);
        self.truncate(top);
        value
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<T> {
        match self.inline.get(at) {
            Some(value) if at < self.len => Some(*value),
            Some(_) => None,
            None => self.spill.get(at - N).copied(),
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        if at >= self.len {
            return None;
        }
        match self.inline.get_mut(at) {
            Some(value) => Some(value),
            None => self.spill.get_mut(at - N),
        }
    }

    #[inline]
    pub(crate) fn truncate(&mut self, len: usize) {
        if self.len > N {
            self.spill.truncate(len.saturating_sub(N));
        }
        self.len = self.len.min(len);
    }
}
