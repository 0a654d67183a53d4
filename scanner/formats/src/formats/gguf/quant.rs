//! Tensor types of ggml: how many bytes a tensor of a type takes.

/// A tensor type that `ggml.h` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quant {
    /// Name as ggml prints it, upper-case.
    pub name: &'static str,
    /// Elements in one block.
    pub block: u64,
    /// Bytes of one block.
    pub bytes: u64,
}

/// What a type id of a tensor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In `ggml.h` of this release's day, or in an older one.
    Known(Quant),
    /// Used by a fork (ik_llama.cpp, bitnet.cpp), whose rows carry extra
    /// bytes: the size cannot be told from the shape.
    Fork,
    /// Near the end of the known range: a type newer than this release.
    Newer,
    /// No ggml ever used it.
    Unheard,
}

/// The type with id `id` (`enum ggml_type`).
#[must_use]
pub fn kind(id: u32) -> Kind {
    let known = |name, block, bytes| Kind::Known(Quant { name, block, bytes });
    match id {
        0 => known("F32", 1, 4),
        1 => known("F16", 1, 2),
        2 => known("Q4_0", 32, 18),
        3 => known("Q4_1", 32, 20),
        // Removed in 2023; block sizes as of then.
        4 => known("Q4_2", 16, 10),
        5 => known("Q4_3", 16, 12),
        6 => known("Q5_0", 32, 22),
        7 => known("Q5_1", 32, 24),
        8 => known("Q8_0", 32, 34),
        9 => known("Q8_1", 32, 36),
        10 => known("Q2_K", 256, 84),
        11 => known("Q3_K", 256, 110),
        12 => known("Q4_K", 256, 144),
        13 => known("Q5_K", 256, 176),
        14 => known("Q6_K", 256, 210),
        15 => known("Q8_K", 256, 292),
        16 => known("IQ2_XXS", 256, 66),
        17 => known("IQ2_XS", 256, 74),
        18 => known("IQ3_XXS", 256, 98),
        19 => known("IQ1_S", 256, 50),
        20 => known("IQ4_NL", 32, 18),
        21 => known("IQ3_S", 256, 110),
        22 => known("IQ2_S", 256, 82),
        23 => known("IQ4_XS", 256, 136),
        24 => known("I8", 1, 1),
        25 => known("I16", 1, 2),
        26 => known("I32", 1, 4),
        27 => known("I64", 1, 8),
        28 => known("F64", 1, 8),
        29 => known("IQ1_M", 256, 56),
        30 => known("BF16", 1, 2),
        31 => known("Q4_0_4_4", 32, 18),
        32 => known("Q4_0_4_8", 32, 18),
        33 => known("Q4_0_8_8", 32, 18),
        34 => known("TQ1_0", 256, 54),
        35 => known("TQ2_0", 256, 66),
        39 => known("MXFP4", 32, 17),
        40 => known("NVFP4", 64, 36),
        41 => known("Q1_0", 128, 18),
        42 => known("Q2_0", 64, 18),
        36..=38 | 97..=99 | 133..=160 | 200..=400 => Kind::Fork,
        43..=63 => Kind::Newer,
        _ => Kind::Unheard,
    }
}

/// Name of the whole file's quantisation (`enum llama_ftype`,
/// `general.file_type`). The bit 1024 says that it was guessed.
#[must_use]
pub fn file_type(id: u64) -> Option<&'static str> {
    Some(match id & !1024 {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        33 => "Q4_0_4_4",
        34 => "Q4_0_4_8",
        35 => "Q4_0_8_8",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4",
        39 => "NVFP4",
        40 => "Q1_0",
        _ => return None,
    })
}

impl Quant {
    /// Bytes of a tensor of `elements`, whose rows are `row` elements long;
    /// `None` if that is not a whole number of blocks or overflows.
    #[must_use]
    pub fn size(self, row: u64, elements: u64) -> Option<u64> {
        if row.checked_rem(self.block)? != 0 {
            return None;
        }
        elements.checked_div(self.block)?.checked_mul(self.bytes)
    }
}
