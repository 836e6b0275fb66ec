// How an input is entered: drawn, filled in, taken from a file, or typed as numbers. What a card says of the
// input is only how it is shown; what is sent are numbers, and they are shown too.

import { h, svg } from './dom.js';
import { BadInput, count, range } from './tensors.js';

/** How an input without a card is entered: a square of pixels as a picture, a short row as a form. */
function guess(spec) {
  const elements = count(spec.shape);
  const side = Math.sqrt(elements);
  const [low, high] = range(spec);
  const flat = spec.shape.filter((dimension) => dimension !== 1);
  if (Number.isInteger(side) && side >= 8 && side <= 512 && spec.elem !== 'int32' && spec.quantizer?.axis === null
    && flat.length === 2 && flat[0] === flat[1]) {
    return { image: { width: side, height: side, low, high, drawing: true, margin: 0 } };
  }
  if (elements <= 128) {
    return { table: Array.from({ length: elements }, (_, index) => ({ name: `${spec.name}[${index}]` })) };
  }
  return {};
}

/** The field of an input: `element`, `values()`, `set(values)`; `changed` is called at each change. */
export function field(spec, card, changed) {
  const form = card?.inputs?.[spec.name] ?? guess(spec);
  if (form.image) return picture(spec, form.image, changed);
  if (form.table) return table(spec, form.table, changed);
  return numbers(spec, changed);
}

/** Numbers of a file: JSON, either a list or a whole request. */
export async function fromFile(file, spec) {
  let content;
  try {
    content = JSON.parse(await file.text());
  } catch {
    throw new BadInput(`${file.name} is neither a picture nor JSON`);
  }
  const list = Array.isArray(content) ? content : content?.inputs?.find?.((input) => input.name === spec.name)?.data;
  const values = Array.isArray(list) ? list.flat(Infinity) : [];
  if (values.length !== count(spec.shape) || !values.every((value) => typeof value === 'number')) {
    throw new BadInput(`${file.name} does not hold ${count(spec.shape)} numbers for “${spec.name}”`);
  }
  return values;
}

function upload(spec, accept, take) {
  const said = h('p', { class: 'error', role: 'alert' });
  const input = h('input', {
    type: 'file',
    accept,
    class: 'hidden-file',
    onchange: async () => {
      said.textContent = '';
      try {
        if (input.files[0]) await take(input.files[0]);
      } catch (error) {
        said.textContent = error.message;
      }
      input.value = '';
    },
  });
  return [h('label', { class: 'button quiet' }, 'Open a file', input), said];
}

function numbers(spec, changed) {
  const elements = count(spec.shape);
  const area = h('textarea', { rows: 6, spellcheck: 'false', 'aria-label': `${elements} numbers for ${spec.name}`, oninput: changed });
  const set = (values) => {
    area.value = values.join(', ');
    changed();
  };
  return {
    element: h('div', {},
      h('p', { class: 'small' }, `${elements} numbers, [${spec.shape.join(' × ')}], row by row.`),
      area,
      h('div', { class: 'row' }, upload(spec, '.json,application/json', async (file) => set(await fromFile(file, spec))))),
    values: () => {
      const list = area.value.split(/[\s,;[\]]+/).filter((word) => word !== '').map(Number);
      if (list.length !== elements || !list.every(Number.isFinite)) {
        throw new BadInput(`“${spec.name}” takes ${elements} numbers`);
      }
      return list;
    },
    set,
  };
}

function table(spec, columns, changed) {
  const fields = columns.map((column) => h('input', {
    type: 'text', inputmode: 'decimal', autocomplete: 'off', required: true, value: '0', oninput: changed,
    'aria-label': column.unit ? `${column.name} in ${column.unit}` : column.name,
  }));
  const set = (values) => {
    fields.forEach((input, index) => { input.value = String(values[index]); });
    changed();
  };
  return {
    element: h('div', {},
      h('div', { class: 'table-form' }, columns.map((column, index) => h('label', {},
        h('span', {}, column.name, column.unit ? h('span', { class: 'unit' }, ` ${column.unit}`) : null), fields[index]))),
      h('div', { class: 'row' }, upload(spec, '.json,application/json', async (file) => set(await fromFile(file, spec))))),
    values: () => fields.map((input, index) => {
      const value = Number(input.value.replace(',', '.'));
      const wrong = input.value.trim() === '' || !Number.isFinite(value);
      input.setAttribute('aria-invalid', String(wrong));
      if (wrong) {
        input.focus();
        throw new BadInput(`“${columns[index].name}” is no number`);
      }
      return value;
    }),
    set,
  };
}

/** Pixels of the pad; drawings are kept as lines, so that their size does not matter. */
const PAD = 280;
/** Pixels that a drawing is rendered to before it is brought to the model's. */
const FINE = 256;
/** A pen's width, as a part of the drawing's longer side. */
const PEN = 0.12;

function picture(spec, image, changed) {
  const { width, height } = image;
  const pad = h('canvas', {
    class: 'pad', width: PAD, height: Math.round((PAD * height) / width),
    tabindex: image.drawing ? 0 : undefined,
    role: image.drawing ? 'application' : 'img',
    'aria-label': image.drawing
      ? 'Drawing pad. Arrow keys move the pen, space puts it down and lifts it, Delete clears.'
      : 'The picture',
  });
  const sent = h('canvas', { class: 'sent', width, height, role: 'img', 'aria-label': `What is sent: ${width} × ${height} pixels` });
  const told = h('p', { class: 'hidden', role: 'status' });
  const pen = pad.getContext('2d');
  const state = { strokes: [], pixels: undefined, at: [PAD / 2, pad.height / 2], down: false, keys: false };

  const values = () => state.pixels ?? rendered(state.strokes, image);
  const paint = () => {
    pen.fillStyle = '#101214';
    pen.fillRect(0, 0, pad.width, pad.height);
    if (state.pixels) {
      pen.imageSmoothingEnabled = false;
      pen.drawImage(canvasOf(state.pixels, image), 0, 0, pad.width, pad.height);
    } else {
      stroke(pen, state.strokes, (point) => point, 22, '#f4f1ea');
      if (image.drawing && state.strokes.length === 0) {
        pen.fillStyle = '#9a958a';
        pen.font = '18px sans-serif';
        pen.textAlign = 'center';
        pen.fillText('Draw here', pad.width / 2, pad.height / 2);
      }
    }
    if (state.keys) {
      const [x, y] = state.at;
      pen.strokeStyle = state.down ? '#62d0a2' : '#ffb454';
      pen.lineWidth = 3;
      pen.beginPath();
      pen.arc(x, y, 9, 0, 7);
      pen.stroke();
    }
    sent.getContext('2d').drawImage(canvasOf(values(), image), 0, 0);
  };
  const redraw = () => {
    paint();
    changed();
  };
  const begin = (point) => {
    state.pixels = undefined;
    state.strokes.push([point]);
  };
  const clear = () => {
    Object.assign(state, { strokes: [], pixels: undefined, down: false });
    told.textContent = 'The pad is empty.';
    redraw();
  };
  const set = (list) => {
    Object.assign(state, { strokes: [], pixels: Array.from(list), down: false });
    redraw();
  };

  if (image.drawing) {
    const place = (event) => {
      const box = pad.getBoundingClientRect();
      return [((event.clientX - box.left) * pad.width) / box.width, ((event.clientY - box.top) * pad.height) / box.height];
    };
    pad.addEventListener('pointerdown', (event) => {
      event.preventDefault();
      pad.focus({ preventScroll: true });
      state.keys = false;
      pad.setPointerCapture(event.pointerId);
      begin(place(event));
      redraw();
    });
    pad.addEventListener('pointermove', (event) => {
      if (!pad.hasPointerCapture(event.pointerId)) return;
      const more = event.getCoalescedEvents?.() ?? [];
      for (const one of more.length > 0 ? more : [event]) state.strokes.at(-1).push(place(one));
      redraw();
    });
    pad.addEventListener('keydown', (event) => {
      const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const move = moves[event.key];
      if (move) {
        const step = event.shiftKey ? 4 : 14;
        state.at = state.at.map((value, axis) => Math.min([pad.width, pad.height][axis] - 8, Math.max(8, value + step * move[axis])));
        if (state.down) state.strokes.at(-1).push([...state.at]);
      } else if (event.key === ' ') {
        state.down = !state.down;
        if (state.down) begin([...state.at]);
        told.textContent = state.down ? 'The pen is down.' : 'The pen is up.';
      } else if (event.key === 'Delete' || event.key === 'Backspace') {
        clear();
      } else {
        return;
      }
      event.preventDefault();
      state.keys = true;
      redraw();
    });
    pad.addEventListener('blur', () => {
      Object.assign(state, { keys: false, down: false });
      paint();
    });
  }
  const fromPicture = async (file) => {
    if (file.type.startsWith('image/')) set(await pixelsOf(file, image));
    else set(await fromFile(file, spec));
  };
  paint();
  return {
    element: h('div', { class: 'picture' },
      h('div', { class: 'pad-frame' }, pad, image.drawing
        ? h('button', { type: 'button', class: 'quiet clear', onclick: clear }, icon(), 'Clear') : null),
      h('div', { class: 'beside' },
        h('figure', {}, sent, h('figcaption', {}, `What is sent: ${width} × ${height} pixels`)),
        h('div', { class: 'row' }, upload(spec, 'image/*,.json', fromPicture))),
      told),
    values: () => {
      const list = values();
      if (list.every((value) => value === image.low)) {
        throw new BadInput(image.drawing ? 'draw something first, or take a sample' : 'take a sample or open a file first');
      }
      return list;
    },
    set,
    thumbnail: (list) => {
      const small = h('canvas', { width, height, 'aria-hidden': 'true' });
      small.getContext('2d').drawImage(canvasOf(list, image), 0, 0);
      return small;
    },
  };
}

const icon = () => svg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' },
  svg('path', { d: 'M3 3l10 10M13 3L3 13', fill: 'none', stroke: 'currentColor', 'stroke-width': 2 }));

/** Values as a picture of the model's size. */
export function canvasOf(values, { width, height, low, high }) {
  const canvas = h('canvas', { width, height });
  const data = new ImageData(width, height);
  values.forEach((value, index) => {
    const grey = Math.round((255 * (value - low)) / (high - low));
    data.data.set([grey, grey, grey, 255], 4 * index);
  });
  canvas.getContext('2d').putImageData(data, 0, 0);
  return canvas;
}

function stroke(context, strokes, place, width, colour) {
  Object.assign(context, { lineCap: 'round', lineJoin: 'round', lineWidth: width, strokeStyle: colour, fillStyle: colour });
  for (const points of strokes) {
    const [first, ...rest] = points.map(place);
    context.beginPath();
    if (rest.length === 0) {
      context.arc(first[0], first[1], width / 2, 0, 7);
      context.fill();
      continue;
    }
    context.moveTo(...first);
    for (const point of rest) context.lineTo(...point);
    context.stroke();
  }
}

/**
 * A drawing in the form that the model was trained on: brought to the size that the margin leaves, in the
 * middle (with a margin by its centre of mass), and averaged down.
 */
function rendered(strokes, image) {
  const { width, height, low, high, margin = 0 } = image;
  const points = strokes.flat();
  if (points.length === 0) return Array(width * height).fill(low);
  const bounds = [0, 1].map((axis) => {
    const list = points.map((point) => point[axis]);
    return [Math.min(...list), Math.max(...list)];
  });
  const extent = Math.max(bounds[0][1] - bounds[0][0], bounds[1][1] - bounds[1][0], PAD / 10);
  const room = FINE * (1 - (2 * margin) / Math.max(width, height));
  const line = room * PEN;
  const scale = (room - line) / extent;
  const centre = bounds.map(([least, most]) => (least + most) / 2);
  const fine = (shift) => {
    const canvas = new OffscreenCanvas(FINE, FINE);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const place = (point) => point.map((value, axis) => (value - centre[axis]) * scale + FINE / 2 + shift[axis]);
    stroke(context, strokes, place, line, '#fff');
    return context.getImageData(0, 0, FINE, FINE).data;
  };
  let data = fine([0, 0]);
  if (margin > 0) {
    let [mass, x, y] = [0, 0, 0];
    for (let index = 0; index < FINE * FINE; index += 1) {
      const ink = data[4 * index + 3];
      mass += ink;
      x += ink * (index % FINE);
      y += ink * Math.floor(index / FINE);
    }
    if (mass > 0) data = fine([FINE / 2 - x / mass, FINE / 2 - y / mass]);
  }
  return averaged(width, height, (x, y) => data[4 * (y * FINE + x) + 3] / 255)
    .map((ink) => Math.round(low + ink * (high - low)));
}

/** Means over the part of the fine grid that each pixel covers. */
function averaged(width, height, ink) {
  const means = [];
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      let [sum, cells] = [0, 0];
      for (let y = Math.floor((row * FINE) / height); y < Math.ceil(((row + 1) * FINE) / height); y += 1) {
        for (let x = Math.floor((column * FINE) / width); x < Math.ceil(((column + 1) * FINE) / width); x += 1) {
          sum += ink(x, y);
          cells += 1;
        }
      }
      means.push(sum / cells);
    }
  }
  return means;
}

/** A picture's grey values, light on dark; one that is dark on light is turned round. */
async function pixelsOf(file, image) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new BadInput(`this browser cannot read ${file.name} as a picture`);
  }
  const canvas = new OffscreenCanvas(FINE, FINE);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const scale = FINE / Math.max(bitmap.width, bitmap.height);
  const [wide, tall] = [bitmap.width * scale, bitmap.height * scale];
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, (FINE - wide) / 2, (FINE - tall) / 2, wide, tall);
  const { data } = context.getImageData(0, 0, FINE, FINE);
  const light = (x, y) => {
    const at = 4 * (y * FINE + x);
    const alpha = data[at + 3] / 255;
    return alpha * ((0.2126 * data[at] + 0.7152 * data[at + 1] + 0.0722 * data[at + 2]) / 255);
  };
  let [edge, seen] = [0, 0];
  for (let at = 0; at < FINE; at += 1) {
    for (const [x, y] of [[at, 0], [at, FINE - 1], [0, at], [FINE - 1, at]]) {
      if (data[4 * (y * FINE + x) + 3] < 128) continue;
      edge += light(x, y);
      seen += 1;
    }
  }
  const turn = seen > 0 && edge / seen > 0.5;
  const opaque = (x, y) => data[4 * (y * FINE + x) + 3] / 255;
  return averaged(image.width, image.height, (x, y) => (turn ? opaque(x, y) - light(x, y) : light(x, y)))
    .map((ink) => Math.round(image.low + ink * (image.high - image.low)));
}

/** Buttons that fill a model's inputs with a sample. */
export function samples(card, manifest, fields, chosen) {
  const list = card?.samples ?? [];
  if (list.length === 0) return null;
  const said = h('p', { class: 'hidden', role: 'status' });
  const [first] = manifest.inputs;
  return h('div', { class: 'samples', role: 'group', 'aria-label': 'Samples' }, list.map((sample) => h('button', {
    type: 'button',
    class: 'sample',
    onclick: () => {
      for (const spec of manifest.inputs) fields.get(spec.name).set(sample.inputs[spec.name]);
      said.textContent = `Sample: ${sample.name}.`;
      chosen();
    },
  }, fields.get(first.name).thumbnail?.(sample.inputs[first.name]) ?? null, h('span', {}, sample.name))), said);
}

/** The values of a public tensor for people: a picture, or the first numbers and all of them on request. */
export function shown(values, spec, card) {
  const form = card?.inputs?.[spec.name];
  if (form?.image && values.length === form.image.width * form.image.height) {
    const canvas = canvasOf(values, form.image);
    canvas.className = 'sent';
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `${spec.name} as a picture`);
    return h('div', {}, canvas, all(values));
  }
  if (form?.table) {
    return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': spec.name }, h('table', {},
      h('tbody', {}, form.table.map((column, index) => h('tr', {},
        h('th', { scope: 'row' }, column.name), h('td', {}, Number(values[index].toPrecision(6))))))));
  }
  return all(values);
}

function all(values) {
  const list = values.map((value) => (Number.isInteger(value) ? value : Number(value.toPrecision(6)))).join(', ');
  if (values.length <= 12) return h('code', {}, list);
  return h('details', {}, h('summary', {}, `${values.length} numbers`), h('code', { class: 'long' }, list));
}
