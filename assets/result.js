// The result card of a tab: what is chosen on a map, and the search box when it is emptied.
element.addEventListener('fusion-map', ({ detail }) => trigger(detail.name === 'like' ? 'like' : 'choose', detail));
// Gradio's text box says nothing when its last letter is deleted.
if (element.closest('#search-result')) document.addEventListener('input', ({ target }) => {
  if (target.matches('#search-text textarea') && !target.value.trim()) trigger('wall', {});
});
