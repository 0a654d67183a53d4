use weighbridge_types::Verdict;

use crate::codec::hdf5::tests::{keras, sample};
use crate::core::testing::{inspect_bytes, rules, verdict};

#[test]
fn data_without_a_model_is_hdf5() {
    for name in ["old", "new"] {
        let outcome = inspect_bytes("data.nc", &sample(name));
        assert_eq!((outcome.format, outcome.is_model), (Some("hdf5"), false), "{name}");
        assert!(inspect_bytes("data.h5", &sample(name)).is_model, "{name}");
    }
}

#[test]
fn other_files_are_findings_and_links() {
    for name in ["old", "new"] {
        let outcome = inspect_bytes("data.h5", &sample(name));
        let details: Vec<_> = outcome.findings.iter().map(|f| f.detail.as_str()).collect();
        for expected in [
            "link `/other` leads to `other.h5`",
            "external storage of `/elsewhere` leads to `raw.bin`",
            "virtual dataset `/virtual` leads to `source 1.h5`",
            "soft link `/loop` leads back to itself",
        ] {
            assert!(details.contains(&expected), "{name}: {details:?}");
        }
        assert_eq!(verdict(&outcome), Verdict::Suspicious, "{name}");
        assert!(outcome.links.iter().any(|l| l.target == "raw.bin"), "{name}");
    }
}

#[test]
fn paths_out_of_the_folder_are_malicious() {
    for name in ["old", "new"] {
        for (honest, hostile) in [("other.h5", "/etc/pwd"), ("raw.bin", "../key!"), ("source 1.h5", "/srv/secret")] {
            let mut bytes = sample(name);
            while let Some(at) = memchr::memmem::find(&bytes, honest.as_bytes()) {
                bytes[at..at + honest.len()].copy_from_slice(hostile.as_bytes());
            }
            let outcome = inspect_bytes("data.h5", &bytes);
            assert_eq!(verdict(&outcome), Verdict::Malicious, "{name} {hostile}");
            assert!(rules(&outcome).contains(&"hdf5-external-file-outside"), "{name} {hostile}");
        }
    }
}

#[test]
fn a_filter_nobody_registered_is_suspicious() {
    // The pipeline of `one chunk` has deflate alone, in the form that has no names.
    let mut bytes = sample("old");
    let deflate = [1u8, 0, 8, 0, 1, 0, 1, 0, b'd', b'e', b'f', b'l', b'a', b't', b'e', 0];
    let at = memchr::memmem::find(&bytes, &deflate).unwrap();
    bytes[at..at + 2].copy_from_slice(&300u16.to_le_bytes());
    assert!(rules(&inspect_bytes("data.h5", &bytes)).contains(&"hdf5-unknown-filter"));
    bytes[at..at + 2].copy_from_slice(&32001u16.to_le_bytes());
    assert!(rules(&inspect_bytes("data.h5", &bytes)).contains(&"hdf5-plugin-filter"));
}

#[test]
fn what_stands_around_the_file_is_looked_at() {
    let archive = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut bytes = keras("{}", true);
    bytes[..archive.len()].copy_from_slice(archive);
    let before = inspect_bytes("model.h5", &bytes);
    assert!(before.members.iter().any(|(_, name)| name == "user block"));
    let mut bytes = keras("{}", false);
    bytes.extend_from_slice(archive);
    let after = inspect_bytes("model.h5", &bytes);
    assert!(after.members.iter().any(|(_, name)| name == "trailing data"));
}

#[test]
fn the_first_member_of_a_tar_is_no_user_block() {
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    tar.extend(sample("old"));
    assert_ne!(inspect_bytes("data.h5.tar", &tar).format, Some("hdf5"));
}
