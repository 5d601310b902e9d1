(* A model file: safetensors (8 bytes of length, a JSON header, the tensors' bytes) with a description, and the SHA-256 that
   names a network in claims. As spikecert/checking/network/files.py. Trusted. *)
open Json

type tensor = { kind : string; shape : int list; at : int; bytes : int }
type content = { text : Json.t; tensors : (string * tensor) list; raw : string; digest : string }

let most_bytes = 1 lsl 31 and most_header = 1 lsl 24
let kinds = [ "F32", ("float32", 4); "F64", ("float64", 8); "I32", ("int32", 4); "I64", ("int64", 8) ]

let product sizes =
  List.fold_left (fun n size ->
    if size < 0 || (size > 0 && n > most_bytes / size) then refuse "has a tensor of no size that is read";
    n * size) 1 sizes

let tensor body length entry =
  known "a tensor" [ "dtype"; "shape"; "data_offsets" ] entry;
  let code = text "dtype" entry in
  let kind, size = match List.assoc_opt code kinds with Some found -> found | None -> refuse ("no rule for a tensor of type " ^ short code) in
  let shape = List.map (whole "shape") (list "shape" (field "shape" entry)) in
  match List.map (whole "data_offsets") (list "data_offsets" (field "data_offsets" entry)) with
  | [ first; behind ] when 0 <= first && first <= behind && behind <= length && behind - first = size * product shape ->
      { kind; shape; at = body + first; bytes = behind - first }
  | _ -> refuse "is cut short, or has a tensor of another size than its shape"

(* as Python writes a tuple *)
let tuple = function [ one ] -> Printf.sprintf "(%d,)" one | sizes -> "(" ^ String.concat ", " (List.map string_of_int sizes) ^ ")"

let digest text tensors raw =
  let told (name, t) =
    let head = Printf.sprintf "%storch.%s%s" name t.kind (tuple t.shape) in
    [ (head, 0, String.length head); (raw, t.at, t.bytes) ] in
  Sha256.hex ((text, 0, String.length text) :: List.concat_map told tensors)

let parse raw =
  if String.length raw < 8 then refuse "is cut short";
  let length = String.get_int64_le raw 0 in
  if Int64.compare length 0L < 0 || Int64.compare length (Int64.of_int most_header) > 0 then refuse "has too long a header";
  let length = Int64.to_int length in
  let body = 8 + length in
  if body > String.length raw then refuse "is cut short";
  let entries = match Json.parse (String.sub raw 8 length) with Object fields -> fields | _ -> refuse "has a header that is no object" in
  let metadata = field "__metadata__" (Object entries) in
  if text "format" metadata <> "spikecert.network/1" then refuse "has another format than spikecert.network/1";
  let rest = String.length raw - body in
  let tensors = List.filter_map (fun (name, entry) -> if name = "__metadata__" then None else Some (name, tensor body rest entry)) entries in
  let tensors = List.sort (fun (a, _) (b, _) -> compare a b) tensors in
  if List.fold_left (fun n (_, t) -> n + t.bytes) 0 tensors <> rest then refuse "is cut short, or holds more than its header says";
  let told = text "text" metadata in
  let digest = digest told tensors raw in
  if digest <> text "sha256" metadata then refuse "was changed after it was written: its hash does not match its content";
  { text = Json.parse told; tensors; raw; digest }

let read path =
  let channel = try In_channel.open_bin path with Sys_error why -> refuse why in
  Fun.protect ~finally:(fun () -> In_channel.close_noerr channel) @@ fun () ->
  let length = try In_channel.length channel with Sys_error why -> refuse why in
  if Int64.compare length (Int64.of_int most_bytes) > 0 then refuse "is longer than the files that are read";
  match In_channel.really_input_string channel (Int64.to_int length) with
  | Some raw -> parse raw
  | None | exception Sys_error _ -> refuse "can't be read"

let float32 content t i = Int32.float_of_bits (String.get_int32_le content.raw (t.at + 4 * i))
