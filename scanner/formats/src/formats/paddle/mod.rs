//! PaddlePaddle: `.pdmodel` (`ProgramDesc` of framework.proto), programs of
//! Paddle 3 as JSON, `.pdiparams` and Paddle-Lite `.nb`. (`.pdparams` and
//! `.pdopt` are pickles.)

mod params;
mod pir;
mod program;
mod recognise;
mod rules;

use crate::core::{FormatError, FormatSpec, Input, Inspection, Recognise, Scope};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "paddle",
    name: "PaddlePaddle",
    extensions: &["pdmodel", "pdiparams", "json", "nb"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise::recognise),
    inspect,
    rules: rules::ALL,
};

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let head = input.head(4096).map_err(|source| FormatError::Io { offset: 0, source })?;
    match recognise::part(&head) {
        Some(recognise::Part::Program) => program::inspect(ctx, input),
        Some(recognise::Part::Json) => pir::inspect(ctx, input),
        Some(recognise::Part::Params) => params::inspect(ctx, input),
        Some(recognise::Part::Lite(version)) => {
            ctx.fact("format_version", version);
            Ok(())
        }
        None => Err(FormatError::malformed("program", 0, "is none of Paddle's")),
    }
}

/// Operators that reach outside the graph, and how. Names are those of
/// `OpDesc.type`; PIR puts a dialect before them.
fn operator_rule(name: &str) -> Option<(&'static weighbridge_types::Rule, &'static str)> {
    Some(match name {
        "py_func" | "py_layer" | "pylayer" | "python_function" => (&rules::PYTHON, "calls Python"),
        "load" | "load_combine" | "read_file" | "sparse_tensor_load" | "lookup_table_load" => {
            (&rules::FILE, "reads a file")
        }
        "save" | "save_combine" | "checkpoint_notify" | "recv_save" => (&rules::FILE, "writes a file"),
        "send"
        | "recv"
        | "listen_and_serv"
        | "heter_listen_and_serv"
        | "send_and_recv"
        | "prefetch"
        | "c_gen_nccl_id"
        | "gen_nccl_id" => (&rules::NETWORK, "uses the network"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
