// The search box of the history.
// Gradio's text box says nothing when its text is pasted or its last letter deleted.
let typed = 0;
document.addEventListener('input', ({ target }) => {
  if (!target.matches('#history-words textarea')) return;
  clearTimeout(typed);
  typed = setTimeout(() => trigger('seek', { words: target.value }), 120);
});
