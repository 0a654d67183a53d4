use std::io::Read;
use std::ops::ControlFlow;

use super::*;
use crate::core::Input;
use crate::core::testing::with_inspection;

/// A sample that `tests/make.py` wrote, unpacked.
pub fn sample(name: &str) -> Vec<u8> {
    let packed: &[u8] = match name {
        "old" => include_bytes!("tests/old.h5.gz"),
        "new" => include_bytes!("tests/new.h5.gz"),
        "keras" => include_bytes!("tests/keras.h5.gz"),
        "user_block" => include_bytes!("tests/user_block.h5.gz"),
        _ => unreachable!("no sample {name}"),
    };
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut out).unwrap();
    out
}

/// The Keras sample (behind a user block if `block`) with this configuration.
pub fn keras(config: &str, block: bool) -> Vec<u8> {
    let mut bytes = sample(if block { "user_block" } else { "keras" });
    let at = memchr::memmem::find(&bytes, b"@CONFIG@@").unwrap();
    bytes[at..at + 4000].copy_from_slice(format!("{config:4000}").as_bytes());
    bytes
}

fn open(bytes: Vec<u8>) -> File {
    File::open(&Input::bytes(bytes)).unwrap()
}

fn objects(file: &File) -> (Vec<Object>, Walk) {
    let mut out = Vec::new();
    let walk = file.walk(|object| {
        out.push(object);
        ControlFlow::Continue(())
    });
    (out, walk)
}

fn named<'o>(objects: &'o [Object], path: &str) -> &'o Object {
    objects.iter().find(|o| o.path == path).unwrap_or_else(|| panic!("no object {path}"))
}

/// Runs `claim` on the same content in the oldest and the newest format.
fn both(claim: impl Fn(&str, &File, &[Object])) {
    for name in ["old", "new"] {
        let file = open(sample(name));
        let (objects, walk) = objects(&file);
        assert!(walk.stopped.is_none(), "{name}: {walk:?}");
        assert!(objects.iter().all(|o| o.damage.is_empty()), "{name}");
        claim(name, &file, &objects);
    }
}

#[test]
fn visits_every_object_once() {
    both(|name, _, objects| {
        // Root, group, 20 children, the type, ten datasets.
        assert_eq!(objects.len(), 33, "{name}");
        assert_eq!(named(objects, "group").kind, Kind::Group, "{name}");
        assert_eq!(named(objects, "type").kind, Kind::Datatype, "{name}");
        assert_eq!(named(objects, "group/child 19").attribute("n").map(|a| a.raw[0]), Some(19), "{name}");
    });
}

#[test]
fn reads_attributes_from_headers_and_heaps() {
    both(|name, file, objects| {
        let root = named(objects, "");
        assert_eq!(root.attributes.len(), 25, "{name}");
        let content = |attribute: &str| file.content(root.attribute(attribute).unwrap()).unwrap();
        assert_eq!(content("attribute 7").text(), Some(&b"value 7"[..]), "{name}");
        assert_eq!(content("long").text().map(<[u8]>::len), Some(6000), "{name}");
        assert_eq!(content("list"), Content::Texts(vec![b"ab".to_vec(), b"cde".to_vec()]), "{name}");
        assert_eq!(content("opaque"), Content::Blobs(vec![vec![1, 2, 3]]), "{name}");
        assert_eq!(content("numbers"), Content::Other, "{name}");
        assert_eq!(root.attribute("numbers").unwrap().shape, [3], "{name}");
    });
}

#[test]
fn tells_links_apart() {
    both(|name, _, objects| {
        let links = &named(objects, "").links;
        let target = |link: &str| &links.iter().find(|l| l.name == link).unwrap().target;
        assert_eq!(target("soft"), &Target::Soft("/group".into()), "{name}");
        let external = Target::External { file: "other.h5".into(), object: "/there".into() };
        assert_eq!(target("other"), &external, "{name}");
        assert!(matches!(target("floats"), Target::Hard(_)), "{name}");
        assert_eq!(named(objects, "group").links.len(), 21, "{name}");
    });
}

#[test]
fn says_where_elements_are() {
    both(|name, file, objects| {
        let dataset = |path: &str| named(objects, path).dataset.clone().unwrap();
        let floats = dataset("floats");
        assert_eq!((floats.datatype.name().as_str(), floats.bytes()), ("float32", Some(24)), "{name}");
        let Storage::Contiguous { address: Some(address), len: 24 } = floats.storage else { panic!("{name}") };
        let stored = file.input.read_vec(address, 24).unwrap();
        assert_eq!(stored[4..8], 1.0f32.to_le_bytes(), "{name}");
        assert_eq!(dataset("typed").datatype.name(), "int16", "{name}");
        let elsewhere = ExternalFile { name: "raw.bin".into(), offset: 8, len: 16 };
        assert_eq!(dataset("elsewhere").external, [elsewhere], "{name}");
        let Storage::Virtual(sources) = dataset("virtual").storage else { panic!("{name}") };
        assert_eq!(sources.iter().map(|s| s.file.as_str()).collect::<Vec<_>>(), ["source 0.h5", "source 1.h5"]);
        assert_eq!(file.chunk_ranges(&dataset("tree")).0.len(), 4, "{name}");
        assert_eq!(file.chunk_ranges(&dataset("one chunk")).0.len(), 1, "{name}");
    });
}

#[test]
fn undoes_the_filters_of_small_datasets() {
    both(|name, file, objects| {
        let content = |path: &str| {
            let dataset = named(objects, path).dataset.clone().unwrap();
            let raw = with_inspection(|ctx| file.small_data(ctx, &dataset, 1 << 20)).unwrap().unwrap();
            file.elements(&dataset.datatype, &raw).unwrap()
        };
        assert_eq!(content("texts"), Content::Texts(vec![b"hello".to_vec(), b"world".to_vec()]), "{name}");
        assert_eq!(content("words"), Content::Texts(vec![b"ab".to_vec(), b"cde".to_vec()]), "{name}");
        assert_eq!(content("bytes"), Content::Blobs(vec![b"bytes".to_vec()]), "{name}");
        assert_eq!(content("compact"), Content::Blobs(vec![b"tight".to_vec()]), "{name}");
    });
}

#[test]
fn finds_the_superblock_behind_a_user_block() {
    let bytes = sample("user_block");
    assert_eq!(locate(&Input::bytes(bytes.clone())), Some(8192));
    let file = open(bytes);
    let (objects, _) = objects(&file);
    let version = named(&objects, "").attribute("keras_version").unwrap();
    assert_eq!(file.content(version).unwrap().text(), Some(&b"2.11.0"[..]));
}

#[test]
fn circles_come_to_an_end() {
    // Every B-tree node becomes an inner one whose children are itself.
    let mut bytes = sample("old");
    let nodes: Vec<usize> = memchr::memmem::find_iter(&bytes, b"TREE").collect();
    assert!(!nodes.is_empty());
    for at in nodes {
        bytes[at + 5] = 1;
        let entries = usize::from(bytes[at + 6]);
        for n in 0..entries {
            let child = at + 24 + 8 + n * 16;
            bytes[child..child + 8].copy_from_slice(&(at as u64).to_le_bytes());
        }
    }
    let (objects, _) = objects(&open(bytes));
    assert!(objects.iter().any(|o| !o.damage.is_empty()));
}

#[test]
fn object_headers_that_continue_in_themselves_end() {
    let mut bytes = vec![0; 512];
    bytes[..8].copy_from_slice(SIGNATURE);
    bytes[8..12].copy_from_slice(&[2, 8, 8, 0]);
    bytes[12..20].copy_from_slice(&0u64.to_le_bytes());
    bytes[20..28].copy_from_slice(&u64::MAX.to_le_bytes());
    bytes[28..36].copy_from_slice(&512u64.to_le_bytes());
    bytes[36..44].copy_from_slice(&64u64.to_le_bytes());
    // A version 1 header whose one message continues at its own first block.
    bytes[64..80].copy_from_slice(&[1, 0, 1, 0, 1, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0]);
    bytes[80..88].copy_from_slice(&[0x10, 0, 16, 0, 0, 0, 0, 0]);
    bytes[88..96].copy_from_slice(&80u64.to_le_bytes());
    bytes[96..104].copy_from_slice(&24u64.to_le_bytes());
    let walk = open(bytes).walk(|_| ControlFlow::Continue(()));
    assert!(walk.stopped.is_some_and(|e| e.to_string().contains("leads back to itself")));
}

#[test]
fn damage_anywhere_is_survived() {
    for name in ["old", "new"] {
        let bytes = sample(name);
        for at in (0..bytes.len()).step_by(7) {
            for value in [0x00, 0x01, 0x7f, 0xff] {
                let mut damaged = bytes.clone();
                damaged.iter_mut().skip(at).take(if value == 0xff { 8 } else { 1 }).for_each(|b| *b = value);
                let input = Input::bytes(damaged);
                let Ok(file) = File::open(&input) else { continue };
                let _ = file.walk(|object| {
                    for attribute in &object.attributes {
                        let _ = file.content(attribute);
                    }
                    if let Some(dataset) = &object.dataset {
                        let _ = with_inspection(|ctx| file.small_data(ctx, dataset, 1 << 20));
                    }
                    ControlFlow::Continue(())
                });
            }
        }
    }
}
