/// Name and bytes per element of a storage class, as in a persistent id:
/// `torch.FloatStorage`, `torch.cuda.HalfStorage`.
///
/// Untyped storages count bytes and say nothing of their elements.
pub(crate) fn element(class: &str) -> Option<(&'static str, u64)> {
    let name = class.rsplit('.').next().unwrap_or_default();
    Some(match name.strip_suffix("Storage")? {
        "Float" => ("float32", 4),
        "Double" => ("float64", 8),
        "Half" => ("float16", 2),
        "BFloat16" => ("bfloat16", 2),
        "Long" => ("int64", 8),
        "Int" => ("int32", 4),
        "Short" => ("int16", 2),
        "Char" => ("int8", 1),
        "Byte" => ("uint8", 1),
        "Bool" => ("bool", 1),
        "ComplexFloat" => ("complex64", 8),
        "ComplexDouble" => ("complex128", 16),
        "QInt8" => ("qint8", 1),
        "QUInt8" => ("quint8", 1),
        "QInt32" => ("qint32", 4),
        "QUInt4x2" => ("quint4x2", 1),
        "QUInt2x4" => ("quint2x4", 1),
        "Untyped" => ("untyped", 1),
        _ => return None,
    })
}
