use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn model(root: u32) -> Vec<u8> {
    let body = [root.to_le_bytes().as_slice(), &[0; 60]].concat();
    [b"CBM1".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
}

#[test]
fn a_model_is_clean_and_a_root_outside_is_not() {
    let outcome = inspect_bytes("m.cbm", &model(16));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("catboost"), Verdict::Clean));
    assert_eq!(rules(&inspect_bytes("m.cbm", &model(1 << 30))), ["catboost-root-outside"]);
    assert_eq!(verdict(&inspect_bytes("m.cbm", &model(16)[..40])), Verdict::Unknown);
}

#[test]
fn survives() {
    survives_damage("m.cbm", &model(16));
}
