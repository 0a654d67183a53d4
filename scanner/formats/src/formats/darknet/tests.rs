use crate::core::testing::{inspect_bytes, survives_damage};

fn weights() -> Vec<u8> {
    let mut out = [0u32, 2, 5].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    out.extend(32_013_312u64.to_le_bytes());
    out.extend([0u8; 400]);
    out
}

#[test]
fn weights_and_networks_are_told_apart_from_other_files() {
    let outcome = inspect_bytes("yolov3.weights", &weights());
    assert_eq!(outcome.format, Some("darknet"));
    assert_eq!(outcome.metadata.get("parameters").and_then(|v| v.as_u64()), Some(100));
    assert_eq!(inspect_bytes("yolov3.bin", &weights()).format, None, "no signature: the name must agree");
    assert_eq!(inspect_bytes("y.cfg", b"[net]\nbatch=1\nchannels=3\n").format, Some("darknet"));
    assert_ne!(inspect_bytes("setup.cfg", b"[net]\nhost=example\n").format, Some("darknet"));
}

#[test]
fn survives() {
    survives_damage("yolov3.weights", &weights());
}
