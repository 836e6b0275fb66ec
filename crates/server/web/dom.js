// Elements, and how things are written for people. Text never becomes markup here.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: attributes and listeners (`onclick`), then children; nothing stands for nothing. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else element.setAttribute(name, String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Puts other content into an element. */
export function show(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
}

/** A link inside the page. */
export function link(href, ...children) {
  return h('a', { href, 'data-link': true }, ...children);
}

/** A digest or another long word, with a button that copies it. */
export function digest(value, label = 'digest') {
  const text = String(value);
  const said = h('span', { class: 'said', role: 'status' });
  const button = h('button', {
    type: 'button',
    class: 'copy',
    'aria-label': `Copy the ${label}`,
    onclick: async () => {
      said.textContent = (await copy(text)) ? 'copied' : 'select it and copy';
      setTimeout(() => { said.textContent = ''; }, 2000);
    },
  }, 'Copy');
  return h('span', { class: 'digest' }, h('code', {}, text), button, said);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // the clipboard belongs to pages with TLS or on this machine
  }
}

/** A list of terms, from pairs; a pair without content is left out. */
export function facts(pairs) {
  return h('dl', { class: 'facts' }, pairs
    .filter(([, content]) => content !== undefined && content !== null)
    .map(([term, content]) => h('div', {}, h('dt', {}, term), h('dd', {}, content))));
}

/** A list of sentences. */
export function sentences(list, kind = '') {
  return h('ul', { class: `sentences ${kind}` }, list.map((sentence) => h('li', {}, sentence)));
}

/** Says something to whoever hears the page. */
export function announce(text) {
  document.getElementById('live').textContent = text;
}

/** Offers bytes as a file. */
export function download(name, bytes, type, label) {
  return h('button', {
    type: 'button',
    class: 'quiet',
    onclick: () => {
      const url = URL.createObjectURL(new Blob([bytes], { type }));
      h('a', { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    },
  }, label);
}

/** Unix seconds as a date and time that everybody reads alike. */
export function utc(seconds) {
  const date = new Date(Number(seconds) * 1000);
  if (!Number.isFinite(date.getTime())) return 'no time';
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** Milliseconds. */
export function ms(value) {
  if (value >= 10_000) return `${(value / 1000).toFixed(0)} s`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return value >= 10 ? `${value.toFixed(0)} ms` : `${value.toFixed(1)} ms`;
}

/** Bytes. */
export function bytes(value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} MB`;
  return value >= 1e4 ? `${(value / 1e3).toFixed(0)} kB` : `${value.toLocaleString('en')} bytes`;
}

/** A share as percent. */
export function percent(share) {
  return `${(share * 100).toFixed(2).replace(/\.?0+$/, '')} %`;
}

/** A sentence that begins with a capital letter and ends with a full stop. */
export function sentence(text) {
  const whole = text.trim();
  if (whole === '') return whole;
  return whole[0].toUpperCase() + whole.slice(1) + (/[.!?:]$/.test(whole) ? '' : '.');
}
