// A serialised tf.Example, as the signature `examples` takes it: tensorflow/core/example/example.proto.
// Every field in it is number 1 or 2 and a run of bytes: a tag, a length, the bytes.

const field = (number, bytes) => [(number << 3) | 2, ...varint(bytes.length), ...bytes];

function varint(value) {
  const bytes = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

/** Return the base64 of a tf.Example with a row's columns {name: text or list of texts} as features of bytes. */
export function serialized(row) {
  const utf8 = (text) => [...new TextEncoder().encode(text)];
  const features = Object.entries(row).flatMap(([name, value]) => {
    const list = [value].flat().flatMap((text) => field(1, utf8(text))); // BytesList.value
    return field(1, [...field(1, utf8(name)), ...field(2, field(1, list))]); // map entry: key, Feature.bytes_list
  });
  const bytes = field(1, features); // Example.features
  return btoa(bytes.map((byte) => String.fromCharCode(byte)).join(""));
}
