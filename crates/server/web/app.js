// The frame: which page is shown, files that are dropped, and the alarm that is shown above every page.

import { failed } from './check.js';
import { h, link, show } from './dom.js';
import { onWatched, watch } from './history.js';
import { logPage } from './log.js';
import { model, models } from './models.js';
import { playground } from './playground.js';
import { dropped, receiptById, receiptDoor } from './receipt.js';
import { missing } from './verdict.js';

const main = document.getElementById('main');
const alarm = document.getElementById('alarm');
const drop = document.getElementById('drop');

const PAGES = [
  [/^\/$/, 'Try it', playground],
  [/^\/models\/?$/, 'Models', models],
  [/^\/models\/([^/]+)$/, 'Model', model],
  [/^\/receipt\/?$/, 'Verify a receipt', receiptDoor],
  [/^\/receipt\/((?:sha256:)?[0-9a-f]{64})$/, 'Receipt', receiptById],
  [/^\/log\/?$/, 'Log', logPage],
];

let leave;
let shown = 0;

/** Shows the page of the address. */
async function route(moved) {
  const path = readable(location.pathname);
  const linked = /^#receipt=((?:sha256:)?[0-9a-f]{64})$/.exec(location.hash);
  if (linked) {
    history.replaceState(null, '', `/receipt/${linked[1].replace(/^sha256:/, '')}`);
    return route(moved);
  }
  const [pattern, title, page] = PAGES.find(([one]) => one.test(path)) ?? [undefined, 'Not found', notFound];
  const turn = (shown += 1);
  if (typeof leave === 'function') leave();
  leave = undefined;
  document.title = `${title} · Proofmark`;
  for (const anchor of document.querySelectorAll('.top nav a')) {
    const here = anchor.pathname === '/' ? path === '/' : path.startsWith(anchor.pathname);
    if (here) anchor.setAttribute('aria-current', 'page');
    else anchor.removeAttribute('aria-current');
  }
  // What belongs to an earlier page writes into an element that is not shown any more.
  const space = h('div', { class: 'page' });
  show(main, space);
  if (moved) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  try {
    const end = await page(space, ...(pattern?.exec(path).slice(1) ?? []));
    if (turn === shown) leave = end;
    else if (typeof end === 'function') end();
  } catch (error) {
    show(space, h('h1', {}, title), missing(failed(error)));
  }
  return undefined;
}

function readable(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // not an address of this page
  }
}

function notFound(space) {
  show(space, h('h1', {}, 'There is no such page'), h('p', {}, link('/', 'Back to the beginning')));
}

document.addEventListener('click', (event) => {
  const anchor = event.target.closest?.('a[data-link]');
  if (!anchor || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  history.pushState(null, '', anchor.href);
  route(true);
});
addEventListener('popstate', () => route(true));

// A receipt may be dropped anywhere.
const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
addEventListener('dragover', (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  drop.hidden = false;
});
addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) drop.hidden = true;
});
addEventListener('drop', (event) => {
  drop.hidden = true;
  if (!carriesFiles(event)) return;
  event.preventDefault();
  take([...event.dataTransfer.files]);
});

/** Shows the receipt page with files. */
async function take(files) {
  if (location.pathname !== '/receipt') history.pushState(null, '', '/receipt');
  await route(true);
  const space = main.querySelector('.result');
  if (space && files.length > 0) await dropped(space, files);
}

onWatched((found) => {
  if (found.state === 'alarm') {
    show(alarm, h('p', {}, h('strong', {}, 'The log of this service changed its history. '),
      'Do not rely on its answers before you know why. ', link('/log', 'What was found')));
  } else {
    show(alarm);
  }
});

route(false);
watch().catch(() => {});
