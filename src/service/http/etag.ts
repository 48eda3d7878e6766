// src/service/http/etag.ts: a validator of content: its CRC-32 (ISO 3309) and length.

const table = Uint32Array.from({ length: 256 }, (_, i) => {
  let c = i;
  for (let k = 0; k < 8; k++) c = (c & 1) === 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c >>> 0;
});

/** `5d41402a-1f` */
export function crc32Text(bytes: Uint8Array): string {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = table[(c ^ bytes[i]!) & 255]! ^ (c >>> 8);
  return `${((c ^ 0xffffffff) >>> 0).toString(16)}-${bytes.length.toString(16)}`;
}
