use super::*;
use crate::core::Input;
use std::ops::ControlFlow;
#[test]
fn dump() {
    for path in std::env::var("H5").unwrap_or_default().split(' ').filter(|p| !p.is_empty()) {
        let input = Input::bytes(std::fs::read(path).unwrap());
        let file = File::open(&input).unwrap();
        println!("== {path} v{} base {} end {:?} len {}", file.version(), file.base, file.end(), input.len());
        let walk = file.walk(|o| {
            println!("{:?} {:?} links {}", o.path, o.kind, o.links.len());
            for l in o.links.iter().filter(|l| !matches!(l.target, Target::Hard(_))) {
                println!("    -> {l:?}");
            }
            for a in &o.attributes {
                let c = file.content(a);
                let s: String = format!("{c:?}").chars().take(100).collect();
                println!("    @{} {} {:?} {}", a.name, a.datatype.name(), a.shape, s);
            }
            if let Some(d) = &o.dataset {
                let s: String = format!("{:?}", d.storage).chars().take(150).collect();
                let (r, e) = file.chunk_ranges(d);
                println!(
                    "    # {} {:?} {} filters {:?} ext {:?} chunks {} {:?}",
                    d.datatype.name(),
                    d.shape,
                    s,
                    d.filters.iter().map(|f| f.id).collect::<Vec<_>>(),
                    d.external,
                    r.len(),
                    e
                );
                if !d.is_numeric() {
                    crate::core::testing::with_inspection(|ctx| {
                        let data = file.small_data(ctx, d, 1 << 20);
                        println!("    = {:?}", data.map(|d2| d2.map(|raw| file.elements(&d.datatype, &raw))));
                    });
                }
            }
            for e in &o.damage {
                println!("    ! {e}");
            }
            ControlFlow::Continue(())
        });
        println!("{walk:?}");
    }
}
