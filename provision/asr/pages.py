"""The page at ``GET /``: a form to try a file by hand. It needs nothing from elsewhere and works without
scripts.
"""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Speech recognition</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }
  label { display: block; margin: .8rem 0; }
  output { display: block; white-space: pre-wrap; border-left: 3px solid #888; padding-left: 1rem; min-height:
  1.5rem; } </style> <h1>Speech recognition</h1> <form id="form" action="recognize/" method="post"
  enctype="multipart/form-data"> <label>Audio file <input type="file" name="file" accept="audio/*,video/mp4"
  required></label> <label>Language <select name="language">
  <option>auto<option>zh<option>en<option>yue<option>ja<option>ko<option>nospeech</select></label>
  <label>Emotions and events <select name="tags"> <option value="emoji">as emoji<option value="keep">as
  tags<option value="strip">left out</select></label> <label>API key, if the service asks for one <input
  type="password" id="key" autocomplete="off"></label> <button>Recognize</button> </form> <output
  id="out"></output> <p>For programs: <code>POST recognize/</code>, <code>POST v1/audio/transcriptions</code>
  (as OpenAI's), <a href="openapi.json">openapi.json</a>, <a href="health">health</a>, <a
  href="metrics">metrics</a>.</p> <script> form.addEventListener("submit", async (event) => {
  event.preventDefault(); out.textContent = "…"; const headers = key.value ? { "X-API-Key": key.value } : {};
  try { const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers }); const
  body = await answer.json(); out.textContent = answer.ok ? body.result : answer.status + ": " + body.error; }
  catch (error) { out.textContent = String(error); } }); </script> </html>
"""

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
