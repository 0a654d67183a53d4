//! What this kernel can guard.
