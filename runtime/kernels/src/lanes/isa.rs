//! Which instruction sets this machine has.

/// An instruction set that is present on this machine: there is no other way
/// to one of these values than detection, which is what the kernels rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    NeonDot,
}

impl Isa {
    /// The fastest one here.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().last().copied().unwrap_or(Self::SCALAR)
    }

    /// Plain arithmetic, present everywhere.
    pub const SCALAR: Self = Self(Kind::Scalar);

    /// All that are present, slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut found = vec![Self::SCALAR];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            if avx2 {
                found.push(Self(Kind::Avx2));
            }
            if avx2 && is_x86_feature_detected!("avxvnni") {
                found.push(Self(Kind::AvxVnni));
            }
            if avx2 && avx512 {
                found.push(Self(Kind::Avx512));
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            if std::arch::is_aarch64_feature_detected!("neon") {
                found.push(Self(Kind::Neon));
                if std::arch::is_aarch64_feature_detected!("dotprod") {
                    found.push(Self(Kind::NeonDot));
                }
            }
        }
        found
    }

    /// The one of that name, if it is present.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|isa| isa.name() == name)
    }

    /// Its name, for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512-vnni",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Kind::NeonDot => "neon-dotprod",
        }
    }

    pub(crate) const fn kind(self) -> Kind {
        self.0
    }
}

/// Defines an entry that runs `$generic::<S>` with the instruction set `isa`
/// switched on for everything inlined into it.
macro_rules! dispatch {
    ($(#[$doc:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $generic:path) => {
        $(#[$doc])*
        $vis unsafe fn $name(isa: $crate::lanes::Isa, $($arg: $ty),*) $(-> $ret)? {
            use $generic as generic;
            #[allow(unused_imports, reason = "which of them is used depends on the target")]
            use $crate::lanes::{Kind, Scalar};
            #[cfg(target_arch = "x86_64")]
            use $crate::lanes::{Avx2, Avx512};
            #[cfg(target_arch = "aarch64")]
            use $crate::lanes::Neon;

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: features as the implementation wants; the rest is our caller's.
                unsafe { generic::<Avx2<false>>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
            unsafe fn avx_vnni($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: as above.
                unsafe { generic::<Avx2<true>>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
            unsafe fn avx512($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: as above.
                unsafe { generic::<Avx512>($($arg),*) }
            }
            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon")]
            unsafe fn neon($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: as above.
                unsafe { generic::<Neon<false>>($($arg),*) }
            }
            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon,dotprod")]
            unsafe fn neon_dot($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: as above.
                unsafe { generic::<Neon<true>>($($arg),*) }
            }

            // SAFETY: an `Isa` exists only where its features were detected;
            // what the arguments owe is our caller's to know.
            unsafe {
                match isa.kind() {
                    Kind::Scalar => generic::<Scalar>($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    Kind::Avx2 => avx2($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    Kind::AvxVnni => avx_vnni($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    Kind::Avx512 => avx512($($arg),*),
                    #[cfg(target_arch = "aarch64")]
                    Kind::Neon => neon($($arg),*),
                    #[cfg(target_arch = "aarch64")]
                    Kind::NeonDot => neon_dot($($arg),*),
                }
            }
        }
    };
}
pub(crate) use dispatch;
