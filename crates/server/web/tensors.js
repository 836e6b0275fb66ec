// Numbers: what an input takes, and how the integers of a proven answer are read, by the rules of
// docs/spec/package.md.

const RANGES = { uint8: [0, 255], int8: [-128, 127], int32: [-2147483648, 2147483647] };

/** Why an input cannot be sent. */
export class BadInput extends Error {}

/** Elements of a shape. */
export const count = (shape) => shape.reduce((product, dimension) => product * dimension, 1);

/** Scale and zero point of each element. */
function steps(spec) {
  const { scale, zero_point: zero, axis } = spec.quantizer;
  if (axis === null) return () => [scale[0], zero[0]];
  const inner = count(spec.shape.slice(axis + 1));
  return (index) => {
    const at = Math.floor(index / inner) % spec.shape[axis];
    return [scale[at], zero[at]];
  };
}

/** Refuses what the service would refuse, in words for the person. */
export function checkValues(values, spec) {
  const [low, high] = RANGES[spec.elem];
  if (values.length !== count(spec.shape)) {
    throw new BadInput(`“${spec.name}” takes ${count(spec.shape)} numbers, there are ${values.length}`);
  }
  for (const value of values) {
    if (!Number.isFinite(Math.fround(value))) throw new BadInput(`“${spec.name}” takes finite numbers only`);
    if (!spec.quantizer && (!Number.isInteger(value) || value < low || value > high)) {
      throw new BadInput(`“${spec.name}” takes integers from ${low} to ${high}, not ${value}`);
    }
  }
}

/** The values that the integers of an input stand for. */
export function dequantizeInput(integers, spec) {
  if (!spec.quantizer) return integers;
  const step = steps(spec);
  return integers.map((q, index) => {
    const [scale, zero] = step(index);
    return Math.fround((q - zero) * Math.fround(scale));
  });
}

/** Smallest and largest value that an input of a quantizer with one scale tells apart. */
export function range(spec) {
  const [low, high] = RANGES[spec.elem];
  if (!spec.quantizer || spec.quantizer.axis !== null) return [low, high];
  return [low, high].map((q) => (q - spec.quantizer.zero_point[0]) * spec.quantizer.scale[0]);
}

/**
 * The views of an output, recomputed from its integers: `classes` (index, label, integer) for each row, and
 * `floats`. An output without views has neither.
 */
export function views(integers, spec) {
  const width = spec.shape.at(-1) ?? 1;
  const read = {};
  for (const view of spec.views) {
    if (view.dequantize) {
      const { scale, zero_point: zero } = view.dequantize;
      read.floats = integers.map((q) => Math.fround(Math.fround(q - zero) * Math.fround(scale)));
    } else if (view['arg-max']) {
      const { labels } = view['arg-max'];
      read.labels = labels;
      read.classes = [];
      for (let row = 0; row < integers.length; row += width) {
        const slice = integers.slice(row, row + width);
        let best = 0;
        slice.forEach((value, index) => { if (value > slice[best]) best = index; });
        read.classes.push({ index: best, label: labels[best] });
      }
    }
  }
  return read;
}
