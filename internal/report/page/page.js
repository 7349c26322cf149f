'use strict';
// Without it the page is the same, but for finding, keys, and where the table's
// head stays when what is above it takes two lines.
(() => {
  const find = document.getElementById('find'), found = document.getElementById('found');
  const rows = [...document.querySelectorAll('tr.t')];
  const names = rows.map(r => (r.parentNode.querySelector('.package th').title + ' ' + r.firstChild.title).toLowerCase());
  find.parentNode.hidden = false;
  const search = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    rows.forEach((r, i) => {
      r.hidden = !words.every(w => names[i].includes(w));
      n += !r.hidden;
    });
    document.body.classList.toggle('finding', words.length > 0);
    found.textContent = words.length ? `${n} of ${rows.length}` : '';
  };
  let timer;
  find.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(search, rows.length > 500 ? 150 : 0); });
  if (find.value) search();

  const tools = document.querySelector('.tools');
  new ResizeObserver(() => document.documentElement.style.setProperty('--tools', `${tools.offsetHeight}px`)).observe(tools);

  const opened = () => location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  let cell; // whose panel is open: several may have the same
  const focus = () => {
    const a = opened();
    if (!a || a.tagName !== 'ARTICLE') return;
    if (!cell || cell.hash !== location.hash) cell = [...document.querySelectorAll('tr.t a')].find(a => a.hash === location.hash);
    a.focus({preventScroll: true});
  };
  addEventListener('click', e => { cell = e.target.closest('tr.t a') || cell; });
  addEventListener('hashchange', focus);
  focus();
  addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === 'Escape' && e.target === find) { find.value = ''; search(); find.blur(); return; }
    if (e.key === 'Escape') {
      if (opened()) location.hash = '#_';
      if (cell) cell.focus({preventScroll: true});
      return;
    }
    if (e.target === find) return;
    if (e.key === '/') { e.preventDefault(); find.focus(); return; }
    const step = {ArrowRight: 1, ArrowLeft: -1}[e.key];
    if (!step || !opened()) return;
    const links = [...document.querySelectorAll('tr.t a')].filter(a => a.offsetParent);
    let to = links.indexOf(cell);
    do to += step; while (links[to] && links[to].hash === location.hash);
    if (!cell || !links[to]) return;
    e.preventDefault();
    cell = links[to];
    cell.scrollIntoView({block: 'center'});
    location.hash = cell.hash;
  });
})();
