use std::fmt;
use std::str::FromStr;

/// A sum of 256-bit digests modulo 2^256: the order of the parts is lost on
/// purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum([u64; 4]);

impl Sum {
    /// Adds a digest, read as a number whose low byte comes first.
    pub fn add(&mut self, digest: &[u8; 32]) {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().zip(digest.chunks_exact(8)) {
            *limb = bytes.first_chunk().copied().map_or(0, u64::from_le_bytes);
        }
        self.join(&Self(limbs));
    }

    /// Adds what another file summed up to.
    pub fn join(&mut self, other: &Self) {
        let mut carry = false;
        for (limb, more) in self.0.iter_mut().zip(other.0) {
            let (sum, over) = limb.overflowing_add(more);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = over || again;
        }
    }

    /// The 32 bytes, low byte first.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        let mut out = [0; 32];
        for (bytes, limb) in out.chunks_exact_mut(8).zip(self.0) {
            bytes.copy_from_slice(&limb.to_le_bytes());
        }
        out
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumParseError;

impl FromStr for Sum {
    type Err = SumParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digest: weighbridge_types::Sha256 = text.parse().map_err(|_| SumParseError)?;
        let mut sum = Self::default();
        sum.add(digest.as_bytes());
        Ok(sum)
    }
}
