// A place to drop or choose files: uploads them one by one, at most MOST of them, and says `bring`.
const bring = async (files) => {
  const taken = [];
  element.classList.add('is-taking');
  for (const file of files.slice(0, MOST)) {
    const told = element.querySelector('[data-taking]');
    if (told) told.textContent = `${taken.length + 1} / ${files.length}`;
    try { taken.push((await upload(file)).path); } catch { /* too large: `given` counts it */ }
  }
  element.classList.remove('is-taking');
  if (files.length) trigger('bring', { files: taken, given: files.length });
};
const shown = (file) => !file.name.startsWith('.');
// The files of dropped files and folders, and of the folders in them; hidden ones are left out.
const within = async (entry) => {
  if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
  const [reader, found] = [entry.createReader(), []];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    for (const each of some.filter(shown)) found.push(...await within(each));
  }
};
const take = async (files, entries) => {
  if (!entries.some((entry) => entry.isDirectory)) bring(files);
  else bring((await Promise.all(entries.filter(shown).map(within))).flat());
};
// What was dropped on an input that takes one file is handed over by `studio.js`.
element.addEventListener('fusion-files', ({ detail }) => take(detail.files, detail.entries));
element.dataset.takes = '';
element.addEventListener('change', (event) => {
  if (event.target.type !== 'file') return;
  bring([...event.target.files].filter(shown));
  event.target.value = '';
});
for (const name of ['dragenter', 'dragover']) {
  element.addEventListener(name, (event) => { event.preventDefault(); element.classList.add('is-over'); });
}
element.addEventListener('dragleave', (event) => {
  if (!element.contains(event.relatedTarget)) element.classList.remove('is-over');
});
element.addEventListener('drop', (event) => {
  event.preventDefault();
  element.classList.remove('is-over');
  const { files, items } = event.dataTransfer;
  take([...files], [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean));
});
