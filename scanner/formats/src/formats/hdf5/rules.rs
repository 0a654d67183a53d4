//! Rules about HDF5 files.

use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::marshal;

/// Every rule of the format.
pub const ALL: &[&Rule] = &[
    &EXTERNAL_OUTSIDE,
    &EXTERNAL_BESIDE,
    &USER_DEFINED_LINK,
    &UNKNOWN_FILTER,
    &PLUGIN_FILTER,
    &LINK_LOOP,
    &EMBEDDED_CONTENT,
    &marshal::DANGEROUS_CODE,
];

/// Elements or objects are taken from a file elsewhere on the machine.
pub static EXTERNAL_OUTSIDE: Rule = Rule {
    id: "hdf5-external-file-outside",
    severity: Severity::High,
    verdict: Verdict::Malicious,
    title: "reading it reads a file elsewhere on the machine",
    what: "An external link, external storage or a virtual dataset names a file by an absolute path, a path that leads \
           upwards, or a URL.",
    why: "Whoever loads the weights reads that file into them: keys, password files, other models. With the next save \
          or upload they leave the machine.",
    false_positives: "Data sets that were never moved from the machine that wrote them.",
    remedy: "Do not load the file. Ask for one with its data inside.",
    references: &["CVE-2026-1669", "https://docs.hdfgroup.org/hdf5/latest/group___h5_l.html", "CWE-73"],
};

/// Elements or objects are taken from a file beside this one.
pub static EXTERNAL_BESIDE: Rule = Rule {
    id: "hdf5-external-file",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "part of it lies in another file",
    what: "An external link, external storage or a virtual dataset names another file by a relative path.",
    why: "What is in that file becomes part of this one; no model format needs it, and the path is resolved from \
          wherever the program runs.",
    false_positives: "Scientific data sets are often split like this.",
    remedy: "See that the named files come from the same publisher, and scan them.",
    references: &["CVE-2026-1669", "CWE-73"],
};

/// A link whose meaning a program defines.
pub static USER_DEFINED_LINK: Rule = Rule {
    id: "hdf5-user-defined-link",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "a link of a type that a program defines",
    what: "A group has a link that is neither hard, soft nor external.",
    why: "Following it calls whatever function the program registered for that type.",
    false_positives: "None known among models and common data sets.",
    remedy: "Find out which program wrote the file.",
    references: &["https://docs.hdfgroup.org/hdf5/latest/_l_b_u_d.html"],
};

/// A filter that nobody registered.
pub static UNKNOWN_FILTER: Rule = Rule {
    id: "hdf5-unknown-filter",
    severity: Severity::Medium,
    verdict: Verdict::Suspicious,
    title: "data goes through a filter that nobody registered",
    what: "A dataset's pipeline has a filter that is neither part of HDF5 nor registered with the HDF Group.",
    why: "To read the data, HDF5 loads a shared library of that number from its plugin folder.",
    false_positives: "Filters under development, and ones registered after this release.",
    remedy: "Find out which program wrote the file.",
    references: &["https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md", "CWE-829"],
};

/// A filter that a plugin brings.
pub static PLUGIN_FILTER: Rule = Rule {
    id: "hdf5-plugin-filter",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "data is packed by a filter that a plugin brings",
    what: "A dataset's pipeline has a filter that is registered but does not come with HDF5.",
    why: "Reading needs the plugin; native code on attacker's data.",
    false_positives: "LZF, Blosc, bitshuffle and Zstandard are common in data sets.",
    remedy: "None needed if you know the plugin.",
    references: &["https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md"],
};

/// Soft links in a circle.
pub static LINK_LOOP: Rule = Rule {
    id: "hdf5-link-loop",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "soft links lead in a circle",
    what: "A soft link leads to soft links that never come to an object.",
    why: "Programs that follow links themselves may not come to an end either.",
    false_positives: "Left-overs of edited data sets.",
    remedy: "None needed.",
    references: &["CWE-835"],
};

/// A value that is a file of its own.
pub static EMBEDDED_CONTENT: Rule = Rule {
    id: "hdf5-embedded-content",
    severity: Severity::Low,
    verdict: Verdict::Clean,
    title: "a value is a pickle, archive, program or code object",
    what: "An attribute or small dataset holds bytes that are a format of their own.",
    why: "Programs that unpack it take whatever it does; it was inspected as what it is.",
    false_positives: "PyTables and pandas keep attributes as pickles.",
    remedy: "Look at the findings inside the content.",
    references: &["CWE-506"],
};
