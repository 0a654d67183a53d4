//! Pages of keys and values: who uses them, and what they hold.
//!
//! A full page is known by the page before it and its own tokens. The index
//! compares both in full, so no choice of tokens can reach pages that other
//! tokens filled; a hash only finds the place to compare.
//!
//! Every chain of pages begins in a scope, and none leads from one scope to
//! another: how fast a text is read tells nobody what another asked.

use std::collections::{BTreeMap, HashMap};

/// A beginning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Node {
    /// Before the first token, in that scope.
    Root(u64),
    /// What some cached page ends. Never used twice.
    After(u64),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    before: Node,
    tokens: Box<[u32]>,
}

#[derive(Debug, Default)]
struct Page {
    /// Sequences that use it.
    users: u32,
    /// What it holds, if indexed.
    held: Option<(Node, Key)>,
    /// Place in the order of eviction; meaningful without users only.
    idle_since: u64,
}

/// All pages of a model.
#[derive(Debug)]
pub struct PagePool {
    page_tokens: usize,
    shares: bool,
    pages: Vec<Page>,
    free: Vec<u32>,
    index: HashMap<Key, u32>,
    /// Indexed pages without users, longest idle first.
    idle: BTreeMap<u64, u32>,
    clock: u64,
    nodes: u64,
}

impl PagePool {
    /// `count` empty pages. With `shares` false nothing is ever indexed.
    #[must_use]
    pub fn new(count: usize, page_tokens: usize, shares: bool) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            page_tokens: page_tokens.max(1),
            shares,
            pages: (0..count).map(|_| Page::default()).collect(),
            free: (0..count).rev().collect(),
            index: HashMap::new(),
            idle: BTreeMap::new(),
            clock: 0,
            nodes: 0,
        }
    }

    /// Tokens in a page.
    #[must_use]
    pub fn page_tokens(&self) -> usize {
        self.page_tokens
    }

    /// All pages.
    #[must_use]
    pub fn total(&self) -> usize {
        self.pages.len()
    }

    /// Pages that [`PagePool::take`] can still give.
    #[must_use]
    pub fn available(&self) -> usize {
        self.free.len() + self.idle.len()
    }

    /// Pages that sequences use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.total() - self.available()
    }

    /// Pages kept for beginnings to come.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.idle.len()
    }

    /// An empty page for one sequence; the longest idle one is forgotten if
    /// none is free.
    pub fn take(&mut self) -> Option<u32> {
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                let (_, number) = self.idle.pop_first()?;
                if let Some((_, key)) = self.pages.get_mut(number as usize).and_then(|page| page.held.take()) {
                    self.index.remove(&key);
                }
                number
            }
        };
        self.pages.get_mut(number as usize)?.users = 1;
        Some(number)
    }

    /// The page that holds `tokens` (exactly one page of them) after `before`;
    /// the caller uses it from now on.
    pub fn find(&mut self, before: Node, tokens: &[u32]) -> Option<(u32, Node)> {
        if !self.shares || tokens.len() != self.page_tokens {
            return None;
        }
        let number = *self.index.get(&Key { before, tokens: tokens.into() })?;
        let page = self.pages.get_mut(number as usize)?;
        let node = page.held.as_ref()?.0;
        if page.users == 0 {
            self.idle.remove(&page.idle_since);
        }
        page.users += 1;
        Some((number, node))
    }

    /// Makes a full page findable. Returns the page to go on with: another one
    /// if the same tokens lie there already (the given one is then let go),
    /// and the beginning it ends.
    pub fn index(&mut self, number: u32, before: Node, tokens: &[u32]) -> (u32, Node) {
        if !self.shares || tokens.len() != self.page_tokens {
            return (number, before);
        }
        if let Some((other, node)) = self.find(before, tokens) {
            self.release(&[number]);
            return (other, node);
        }
        self.nodes += 1;
        let node = Node::After(self.nodes);
        let key = Key { before, tokens: tokens.into() };
        if let Some(page) = self.pages.get_mut(number as usize) {
            page.held = Some((node, key.clone()));
            self.index.insert(key, number);
        }
        (number, node)
    }

    /// One user less for each of a sequence's pages. Later pages are evicted
    /// before earlier ones, since they are of no use without them.
    pub fn release(&mut self, numbers: &[u32]) {
        for &number in numbers.iter().rev() {
            let Some(page) = self.pages.get_mut(number as usize) else { continue };
            page.users = page.users.saturating_sub(1);
            if page.users > 0 {
                continue;
            }
            if page.held.is_some() {
                self.clock += 1;
                page.idle_since = self.clock;
                self.idle.insert(self.clock, number);
            } else {
                self.free.push(number);
            }
        }
    }

    /// Forgets all beginnings that nobody uses.
    pub fn forget(&mut self) {
        while let Some((_, number)) = self.idle.pop_first() {
            if let Some((_, key)) = self.pages.get_mut(number as usize).and_then(|page| page.held.take()) {
                self.index.remove(&key);
            }
            self.free.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Node = Node::Root(0);

    #[test]
    fn finds_pages_by_tokens_and_what_came_before() {
        let mut pool = PagePool::new(4, 2, true);
        let a = pool.take().unwrap();
        let (_, first) = pool.index(a, ROOT, &[1, 2]);
        let b = pool.take().unwrap();
        let (_, second) = pool.index(b, first, &[1, 2]);
        assert_eq!(pool.find(ROOT, &[1, 2]), Some((a, first)));
        assert_eq!(pool.find(first, &[1, 2]), Some((b, second)));
        assert_eq!(pool.find(second, &[1, 2]), None);
        assert_eq!(pool.find(ROOT, &[2, 1]), None);
    }

    #[test]
    fn same_tokens_end_in_one_page() {
        let mut pool = PagePool::new(4, 2, true);
        let (a, b) = (pool.take().unwrap(), pool.take().unwrap());
        let (_, node) = pool.index(a, ROOT, &[1, 2]);
        assert_eq!(pool.index(b, ROOT, &[1, 2]), (a, node));
        assert_eq!(pool.used(), 1);
        pool.release(&[a]);
        assert_eq!(pool.used(), 1, "two sequences used it");
        pool.release(&[a]);
        assert_eq!((pool.used(), pool.cached()), (0, 1));
    }

    #[test]
    fn evicts_the_longest_idle_and_ends_before_beginnings() {
        let mut pool = PagePool::new(3, 1, true);
        let pages: Vec<u32> = (0..3).map(|_| pool.take().unwrap()).collect();
        let (_, first) = pool.index(pages[0], ROOT, &[1]);
        let (_, second) = pool.index(pages[1], first, &[2]);
        pool.index(pages[2], second, &[3]);
        assert_eq!(pool.take(), None);
        pool.release(&pages);
        assert_eq!(pool.available(), 3);
        assert_eq!(pool.take(), Some(pages[2]));
        assert_eq!(pool.find(second, &[3]), None);
        assert!(pool.find(ROOT, &[1]).is_some());
        assert_eq!(pool.take(), Some(pages[1]));
        assert_eq!(pool.take(), None, "the page in use stays");
    }

    #[test]
    fn a_node_of_an_evicted_page_finds_nothing_later() {
        let mut pool = PagePool::new(2, 1, true);
        let a = pool.take().unwrap();
        let (_, old) = pool.index(a, ROOT, &[1]);
        pool.release(&[a]);
        let (x, y) = (pool.take().unwrap(), pool.take().unwrap());
        let (_, new) = pool.index(x, ROOT, &[1]);
        assert_ne!(old, new);
        pool.index(y, new, &[2]);
        assert_eq!(pool.find(old, &[2]), None);
    }

    #[test]
    fn one_scope_finds_nothing_of_another() {
        let mut pool = PagePool::new(4, 2, true);
        let (a, b) = (pool.take().unwrap(), pool.take().unwrap());
        let (_, mine) = pool.index(a, Node::Root(7), &[1, 2]);
        assert_eq!(pool.find(Node::Root(8), &[1, 2]), None);
        let (page, theirs) = pool.index(b, Node::Root(8), &[1, 2]);
        assert_eq!(page, b, "their page is their own, whatever it holds");
        assert_ne!(mine, theirs);
        assert_eq!(pool.find(Node::Root(7), &[1, 2]), Some((a, mine)));
        assert_eq!(pool.find(theirs, &[3, 4]), None);
    }

    #[test]
    fn without_sharing_nothing_is_found() {
        let mut pool = PagePool::new(2, 1, false);
        let a = pool.take().unwrap();
        pool.index(a, ROOT, &[1]);
        assert_eq!(pool.find(ROOT, &[1]), None);
        pool.release(&[a]);
        assert_eq!((pool.used(), pool.cached()), (0, 0));
    }
}
