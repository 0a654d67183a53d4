use std::collections::{BTreeSet, HashSet};

use crate::codec::archive::names::{self, Escape};
use crate::codec::archive::rules;
use crate::core::Inspection;

/// Most links remembered to see writes through them.
const LINKS_MAX: usize = 10_000;
/// Longest path of a link, and the folders in it, that later names are held
/// against.
const LINK_BYTES_MAX: usize = 4096;
const LINK_DEPTH_MAX: usize = 128;
/// Examples named in one finding.
const EXAMPLES_MAX: usize = 3;
/// Executables and libraries from which on an archive is taken for a program.
const EXECUTABLES_OF_A_PROGRAM: u32 = 4;
/// Members from which on an archive without a model may be a backup or a
/// source package, in which absolute names, links and devices are usual.
const BACKUP_MEMBERS_MIN: u64 = 20;

/// What one entry is, apart from its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link to this target, relative to where it stands.
    SymbolicLink(&'a str),
    /// A hard link to this target, relative to the archive's root.
    HardLink(&'a str),
    /// A character or block device or a FIFO.
    Device,
}

/// Collects, member by member, what names, links and permissions of an archive
/// amount to. Memory stays bounded whatever the archive holds.
#[derive(Default)]
pub struct Survey {
    members: u64,
    absolute: Examples,
    escapes: Examples,
    link_escapes: Examples,
    through_links: Examples,
    hard_link_escapes: Examples,
    devices: Examples,
    privileged: Examples,
    links: HashSet<String>,
    top_folders: BTreeSet<&'static str>,
    package_marks: HashSet<&'static str>,
    executables: u32,
}

/// A count, with the first few members it is made of.
#[derive(Default)]
struct Examples {
    count: u64,
    offset: Option<u64>,
    shown: Vec<String>,
}

impl Examples {
    fn add(&mut self, offset: u64, text: impl FnOnce() -> String) {
        self.count += 1;
        self.offset.get_or_insert(offset);
        if self.shown.len() < EXAMPLES_MAX {
            self.shown.push(text());
        }
    }

    fn report(&self, ctx: &mut Inspection<'_>, rule: &'static weighbridge_types::Rule) {
        if self.count > 0 {
            let more = self.count - self.shown.len() as u64;
            let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
            ctx.find(rule, self.offset, format!("{}{tail}", self.shown.join("; ")));
        }
    }
}

impl Survey {
    /// Takes in one entry. `mode` holds Unix permissions.
    pub fn add(&mut self, name: &str, kind: Kind<'_>, mode: u32, offset: u64) {
        self.members += 1;
        self.note_shape(name);
        match names::escape(name) {
            Some(Escape::Absolute) => self.absolute.add(offset, || format!("`{name}` is an absolute path")),
            Some(how) => self.escapes.add(offset, || format!("`{name}` {}", how.as_str())),
            None => {}
        }
        if let Some(link) = self.link_above(name) {
            let text = format!("`{name}` is written through the link `{link}`");
            self.through_links.add(offset, || text);
        }
        match kind {
            Kind::SymbolicLink(target) => {
                if let Some(how) = names::link_escape(name, target) {
                    self.link_escapes.add(offset, || format!("`{name}` -> `{target}` {}", how.as_str()));
                    if self.links.len() < LINKS_MAX && name.len() <= LINK_BYTES_MAX {
                        self.links.insert(clean(name));
                    }
                }
            }
            Kind::HardLink(target) => {
                if let Some(how) = names::escape(target) {
                    self.hard_link_escapes.add(offset, || format!("`{name}` = `{target}` {}", how.as_str()));
                }
            }
            Kind::Device => self.devices.add(offset, || format!("`{name}`")),
            Kind::File if mode & 0o6000 != 0 && mode & 0o111 != 0 => {
                self.privileged.add(offset, || format!("`{name}` has mode {:o}", mode & 0o7777));
            }
            Kind::File | Kind::Folder => {}
        }
    }

    /// Takes in that a member is an executable or a library.
    pub fn add_executable(&mut self) {
        self.executables = self.executables.saturating_add(1);
    }

    /// Whether the archive is software that may carry a model along: a wheel,
    /// a Java or Android package, an installed program. Code is its purpose,
    /// so code in it is no finding.
    #[must_use]
    pub fn is_program(&self) -> bool {
        !self.package_marks.is_empty() || self.is_file_system() || self.executables >= EXECUTABLES_OF_A_PROGRAM
    }

    /// Whether the archive is a file system or a layer of one: absolute links,
    /// devices and setuid programs belong there.
    #[must_use]
    pub fn is_file_system(&self) -> bool {
        self.top_folders.len() >= 3
    }

    /// Reports what leads out of the target folder or asks for privileges.
    /// `archive_is_zip`: ZIP writers store links only if told to, tar writers
    /// always.
    pub fn report(&self, ctx: &mut Inspection<'_>, archive_is_zip: bool) {
        let backup = self.members >= BACKUP_MEMBERS_MIN && self.absolute.count == self.members;
        self.escapes.report(ctx, &rules::PATH_TRAVERSAL);
        self.through_links.report(ctx, &rules::WRITE_THROUGH_LINK);
        if self.is_file_system() {
            return;
        }
        if !backup {
            self.absolute.report(ctx, &rules::PATH_TRAVERSAL);
        }
        self.hard_link_escapes.report(ctx, &rules::LINK_ESCAPE);
        // Source archives carry links to places on the packager's machine,
        // backups devices and setuid programs.
        let telling = ctx.holds_model() || self.members <= BACKUP_MEMBERS_MIN;
        if archive_is_zip || telling {
            self.link_escapes.report(ctx, &rules::LINK_ESCAPE);
        }
        if telling {
            self.devices.report(ctx, &rules::DEVICE);
            self.privileged.report(ctx, &rules::PRIVILEGED);
        }
    }

    /// A link that an earlier member put above this name, leading out.
    fn link_above(&self, name: &str) -> Option<&str> {
        if self.links.is_empty() || self.is_file_system() {
            return None;
        }
        let name = clean(name);
        let mut folders = name.match_indices('/').take(LINK_DEPTH_MAX).take_while(|(at, _)| *at <= LINK_BYTES_MAX);
        let at = folders.find(|(at, _)| name.get(..*at).is_some_and(|n| self.links.contains(n)));
        at.and_then(|(at, _)| name.get(..at)).and_then(|n| self.links.get(n)).map(String::as_str)
    }

    fn note_shape(&mut self, name: &str) {
        let name = name.trim_start_matches("./").trim_start_matches('/');
        for folder in FILE_SYSTEM_FOLDERS {
            if name.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                self.top_folders.insert(folder);
            }
        }
        for mark in PACKAGE_MARKS {
            let hit = match mark.strip_prefix('*') {
                Some(suffix) => name.ends_with(suffix),
                None => name == *mark || name.strip_prefix(mark).is_some_and(|r| mark.ends_with('/') && !r.is_empty()),
            };
            if hit {
                self.package_marks.insert(mark);
            }
        }
    }
}

/// Top folders of Unix file systems.
const FILE_SYSTEM_FOLDERS: &[&str] = &[
    "bin", "boot", "dev", "etc", "home", "lib", "lib64", "opt", "proc", "root", "run", "sbin", "sys", "tmp", "usr",
    "var",
];

/// Members that make an archive a software package: wheel and egg, Java,
/// Android, iOS, NuGet, browser and editor extension, Office document, conda.
const PACKAGE_MARKS: &[&str] = &[
    "*.dist-info/WHEEL",
    "*.dist-info/RECORD",
    "EGG-INFO/PKG-INFO",
    "META-INF/MANIFEST.MF",
    "AndroidManifest.xml",
    "*/AndroidManifest.xml",
    "*.app/Info.plist",
    "*.app/Contents/Info.plist",
    "*.nuspec",
    "extension.vsixmanifest",
    "[Content_Types].xml",
    "info/index.json",
    "debian-binary",
];

fn clean(name: &str) -> String {
    name.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surveyed(names: &[&str]) -> Survey {
        let mut survey = Survey::default();
        for name in names {
            survey.add(name, Kind::File, 0o644, 0);
        }
        survey
    }

    #[test]
    fn packages_and_file_systems_are_told_from_archives_of_weights() {
        assert!(surveyed(&["m/__init__.py", "m-1.0.dist-info/RECORD"]).is_program());
        assert!(surveyed(&["META-INF/MANIFEST.MF"]).is_program());
        assert!(surveyed(&["./etc/passwd", "usr/bin/x", "var/y"]).is_file_system());
        assert!(!surveyed(&["model.safetensors", "config.json", "lib/x.so"]).is_program());
        assert!(!surveyed(&["libx", "binary", "etcetera"]).is_file_system());
    }

    #[test]
    fn a_write_below_an_escaping_link_is_seen() {
        let mut survey = Survey::default();
        survey.add("./dir", Kind::SymbolicLink("/tmp"), 0o777, 0);
        survey.add("dir/a/file", Kind::File, 0o644, 512);
        assert_eq!(survey.through_links.count, 1);
        survey.add("directory/file", Kind::File, 0o644, 1024);
        assert_eq!(survey.through_links.count, 1);
    }
}
