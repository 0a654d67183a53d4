//! Objects, one after the other.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::dataset::Dataset;
use super::file::File;
use super::header::{self, kind};
use super::link::{self, Link, Target};
use super::value::{self, Attribute};
use crate::core::FormatError;

/// Most objects visited in one file.
const OBJECTS_MAX: usize = 200_000;
/// Most links followed or reported in one file.
const LINKS_MAX: usize = 400_000;
/// Most attributes of one object.
const ATTRIBUTES_MAX: usize = 65_536;
/// Most bytes of attributes of one object held at a time.
const ATTRIBUTE_BYTES_MAX: usize = 64 << 20;
/// Longest path kept; deeper objects are visited under a cut one.
const PATH_BYTES_MAX: usize = 1024;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A group of links.
    Group,
    /// An array.
    Dataset,
    /// A datatype with a name.
    Datatype,
    /// None of these.
    Unknown,
}

/// One object and everything its header tells.
#[derive(Debug)]
pub struct Object {
    /// The path by which it was first reached, without leading slash; empty
    /// for the root group.
    pub path: String,
    /// Address of its header.
    pub address: u64,
    /// What it is.
    pub kind: Kind,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// Its links, if it is a group.
    pub links: Vec<Link>,
    /// Its storage, if it is a dataset.
    pub dataset: Option<Dataset>,
    /// What could not be read of it, and why.
    pub damage: Vec<FormatError>,
}

/// How a [`File::walk`] ended.
#[derive(Debug)]
pub struct Walk {
    /// Objects visited.
    pub objects: usize,
    /// Why it ended before everything was visited, if it did.
    pub stopped: Option<FormatError>,
}

impl File {
    /// The root group.
    ///
    /// # Errors
    /// If its header cannot be read at all.
    pub fn root(&self) -> Result<Object, FormatError> {
        self.object(self.superblock.root, String::new(), LINKS_MAX)
    }

    /// Visits every object that hard links reach from the root, each once.
    /// `visit` may end the walk.
    pub fn walk(&self, mut visit: impl FnMut(Object) -> ControlFlow<FormatError>) -> Walk {
        let mut seen = HashSet::from([self.superblock.root]);
        let mut pending = vec![(self.superblock.root, String::new())];
        let mut objects = 0;
        let mut links_left = LINKS_MAX;
        while let Some((address, path)) = pending.pop() {
            objects += 1;
            let object = match self.object(address, path, links_left) {
                Ok(object) => object,
                Err(error) if objects == 1 => return Walk { objects, stopped: Some(error) },
                Err(error) => Object::unreadable(address, error),
            };
            links_left = links_left.saturating_sub(object.links.len());
            let mut below = Vec::new();
            for link in &object.links {
                if let Target::Hard(target) = link.target
                    && seen.len() < OBJECTS_MAX
                    && seen.insert(target)
                {
                    below.push((target, joined(&object.path, &link.name)));
                }
            }
            pending.extend(below.into_iter().rev());
            if let ControlFlow::Break(error) = visit(object) {
                return Walk { objects, stopped: Some(error) };
            }
        }
        let over = (seen.len() >= OBJECTS_MAX || links_left == 0)
            .then(|| FormatError::limit("hdf5_objects_max", OBJECTS_MAX as u64));
        Walk { objects, stopped: over }
    }

    fn object(&self, address: u64, path: String, links_max: usize) -> Result<Object, FormatError> {
        let (messages, stopped) = header::read(self, address)?;
        let mut damage = Vec::from_iter(stopped);
        let mut attributes: Vec<Attribute> = Vec::new();
        let mut bytes = 0usize;
        let read = value::of_object(self, &messages, &mut |attribute| match attribute {
            Ok(attribute) if attributes.len() < ATTRIBUTES_MAX && bytes < ATTRIBUTE_BYTES_MAX => {
                bytes += attribute.raw.len();
                attributes.push(attribute);
            }
            Ok(_) => {}
            Err(error) => damage.push(error),
        });
        damage.extend(read.err());
        if attributes.len() >= ATTRIBUTES_MAX || bytes >= ATTRIBUTE_BYTES_MAX {
            damage.push(FormatError::limit("hdf5_attributes_max", ATTRIBUTES_MAX as u64));
        }
        let mut links = Vec::new();
        let read = link::of_group(self, &messages, &mut |link| {
            if links.len() >= links_max {
                return Err(FormatError::limit("hdf5_links_max", LINKS_MAX as u64));
            }
            links.push(link);
            Ok(())
        });
        damage.extend(read.err());
        let dataset = Dataset::read(self, &messages, &mut damage)?;
        let has = |kinds: &[u16]| messages.iter().any(|m| kinds.contains(&m.kind));
        let kind = if dataset.is_some() {
            Kind::Dataset
        } else if has(&[kind::SYMBOL_TABLE, kind::LINK_INFO, kind::LINK]) {
            Kind::Group
        } else if has(&[kind::DATATYPE]) {
            Kind::Datatype
        } else {
            Kind::Unknown
        };
        Ok(Object { path, address, kind, attributes, links, dataset, damage })
    }
}

impl Object {
    /// The attribute of this name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    fn unreadable(address: u64, error: FormatError) -> Self {
        Self {
            path: String::new(),
            address,
            kind: Kind::Unknown,
            attributes: Vec::new(),
            links: Vec::new(),
            dataset: None,
            damage: vec![error],
        }
    }
}

fn joined(parent: &str, name: &str) -> String {
    let mut path = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
    if path.len() > PATH_BYTES_MAX {
        let cut = (0..=PATH_BYTES_MAX).rev().find(|n| path.is_char_boundary(*n)).unwrap_or(0);
        path.truncate(cut);
    }
    path
}
