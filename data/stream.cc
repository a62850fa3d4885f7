// The source over a split that stays in its file: one thread reads ahead, the caller gathers batches.
//
// An epoch's order is cut into pieces: the windows of the block shuffle, or about 16 MiB when there are none.
// The reader thread reads a piece in the order of the file (runs of neighbouring samples in one call) and
// hands it over; the caller picks the samples from it in the order of the epoch. So timing decides when a
// piece is there, never what is in it. At most two pieces wait while one is read.
#include "data/stream.h"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "data/files.h"
#include "data/h5.h"

namespace distil::data {
namespace {

struct Piece {
  uint32_t epoch = 0;
  int64_t begin = 0, end = 0;       // positions in the order of the epoch
  std::vector<uint32_t> ids, slot;  // of each position: its sample, and where its image lies in `images`
  std::vector<uint8_t> images;
};

class StreamSource : public BatchSource {
 public:
  explicit StreamSource(Plan plan) : plan_(std::move(plan)) {
    size_ = plan_.size();
    steps_per_epoch_ = plan_.steps();
  }

  ~StreamSource() override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    if (reader_.joinable()) reader_.join();
  }

  // Opens the file (in the reader thread) and begins to read ahead.
  Status Start() {
    const auto batch = static_cast<size_t>(plan_.batch_size);
    DISTIL_RETURN_IF_ERROR(Resize(&images_, batch * plan_.sample_bytes, plan_.split->file));
    labels_.resize(batch);
    ids_.resize(batch);
    reader_ = std::thread([this] { Run(); });
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return opened_; });
    return open_error_;  // not error_: the reader may have read on, and failed, by now
  }

  Status Seek(uint32_t epoch, int64_t step) override {
    DISTIL_RETURN_IF_ERROR(plan_.CheckStep(step));
    epoch_ = epoch;
    step_ = step;
    if (step == steps_per_epoch_) return {};
    const int64_t position = step * plan_.batch_size;
    std::lock_guard<std::mutex> lock(mutex_);
    current_ = nullptr;
    while (!ready_.empty() && !Holds(ready_.front(), epoch, position)) ready_.pop_front();
    const bool coming = error_.ok() && cursor_epoch_ == epoch && cursor_ == position;
    if (ready_.empty() && !coming) {
      ++generation_;  // what is being read now is thrown away
      cursor_epoch_ = epoch;
      cursor_ = position;
      error_ = Status();
    }
    changed_.notify_all();
    return {};
  }

  Status Next(Batch* batch) override {
    *batch = Batch();
    if (step_ >= steps_per_epoch_) return {};
    const int64_t first = step_ * plan_.batch_size, count = std::min(plan_.batch_size, size_ - first);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t position = first + i;
      if (!current_ || !Holds(*current_, epoch_, position)) DISTIL_RETURN_IF_ERROR(WaitFor(position));
      const auto at = static_cast<size_t>(position - current_->begin);
      const uint32_t id = current_->ids[at];
      std::memcpy(images_.data() + static_cast<size_t>(i) * plan_.sample_bytes,
                  current_->images.data() + current_->slot[at] * plan_.sample_bytes, plan_.sample_bytes);
      labels_[static_cast<size_t>(i)] = plan_.split->labels[id];
      ids_[static_cast<size_t>(i)] = id;
    }
    ++step_;
    *batch = {images_.data(), labels_.data(), ids_.data(), count};
    return {};
  }

 private:
  static bool Holds(const Piece& piece, uint32_t epoch, int64_t position) {
    return piece.epoch == epoch && piece.begin <= position && position < piece.end;
  }

  // Makes current_ the piece with `position` of this epoch. Only the caller's thread touches current_ and
  // pops.
  Status WaitFor(int64_t position) {
    std::unique_lock<std::mutex> lock(mutex_);
    current_ = nullptr;
    while (!ready_.empty() && !Holds(ready_.front(), epoch_, position)) ready_.pop_front();
    changed_.notify_all();
    changed_.wait(lock, [this] { return !ready_.empty() || !error_.ok(); });
    if (ready_.empty()) return error_;
    if (!Holds(ready_.front(), epoch_, position)) return Internal("streaming lost its place");
    current_ = &ready_.front();
    return {};
  }

  // --- the reader thread
  // ---------------------------------------------------------------------------------------

  void Run() {
    H5Images file;
    Status status =
        file.Open(plan_.split->file, plan_.name, plan_.height, plan_.width, plan_.channels, plan_.split->size());
    std::unique_lock<std::mutex> lock(mutex_);
    opened_ = true;
    open_error_ = error_ = status;
    changed_.notify_all();
    if (!status.ok()) return;
    while (true) {
      changed_.wait(lock, [this] { return stop_ || (ready_.size() < 2 && error_.ok()); });
      if (stop_) return;
      const uint64_t generation = generation_;
      const uint32_t epoch = cursor_epoch_;
      const int64_t position = cursor_;
      lock.unlock();
      Piece piece;
      status = ReadPiece(&file, epoch, position, &piece);
      lock.lock();
      if (generation != generation_) continue;  // the caller went elsewhere meanwhile
      error_ = status;
      if (status.ok()) {
        cursor_ = piece.end;
        if (cursor_ == size_) cursor_ = 0, ++cursor_epoch_;
        ready_.push_back(std::move(piece));
      }
      changed_.notify_all();
    }
  }

  Status ReadPiece(H5Images* file, uint32_t epoch, int64_t position, Piece* piece) {
    if (order_.empty() || order_epoch_ != epoch) {
      ends_.clear();
      if (plan_.shuffle && plan_.blocks.block > 0) {
        order_ = EpochOrder(size_, plan_.seed, epoch, plan_.blocks, &ends_);
      } else {
        order_ = plan_.Order(epoch);
      }
      order_epoch_ = epoch;
    }
    constexpr size_t kPieceBytes = 16 << 20;
    piece->epoch = epoch;
    if (ends_.empty()) {
      const auto rows = std::max<int64_t>(1, static_cast<int64_t>(kPieceBytes / plan_.sample_bytes));
      piece->begin = position / rows * rows;
      piece->end = std::min(piece->begin + rows, size_);
    } else {
      const auto end = std::upper_bound(ends_.begin(), ends_.end(), position);
      piece->begin = end == ends_.begin() ? 0 : *(end - 1);
      piece->end = *end;
    }
    const auto count = static_cast<size_t>(piece->end - piece->begin);
    DISTIL_RETURN_IF_ERROR(Resize(&piece->images, count * plan_.sample_bytes, plan_.split->file));
    piece->ids.resize(count);
    piece->slot.resize(count);
    std::vector<std::pair<uint32_t, uint32_t>> by_id(count);
    for (size_t i = 0; i < count; ++i) {
      piece->ids[i] = plan_.Id(order_[static_cast<size_t>(piece->begin) + i]);
      by_id[i] = {piece->ids[i], static_cast<uint32_t>(i)};
    }
    std::sort(by_id.begin(), by_id.end());
    for (size_t run = 0, next; run < count; run = next) {
      for (next = run + 1; next < count && by_id[next].first == by_id[next - 1].first + 1;) ++next;
      DISTIL_RETURN_IF_ERROR(file->Read(by_id[run].first, static_cast<int64_t>(next - run),
                                        piece->images.data() + run * plan_.sample_bytes));
      for (size_t i = run; i < next; ++i) piece->slot[by_id[i].second] = static_cast<uint32_t>(i);
    }
    return {};
  }

  const Plan plan_;
  // The caller's side.
  uint32_t epoch_ = 0;
  int64_t step_ = 0;
  const Piece* current_ = nullptr;  // the front of ready_
  std::vector<uint8_t> images_;
  std::vector<int32_t> labels_;
  std::vector<uint32_t> ids_;
  // Shared, under mutex_.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> ready_;
  uint32_t cursor_epoch_ = 0;  // the piece being read, or to be read next, holds this position
  int64_t cursor_ = 0;
  uint64_t generation_ = 0;
  bool opened_ = false, stop_ = false;
  Status open_error_, error_;
  // The reader's side.
  std::vector<uint32_t> order_;
  std::vector<int64_t> ends_;
  uint32_t order_epoch_ = 0;
  std::thread reader_;
};

}  // namespace

Status MakeStreamSource(Plan plan, std::unique_ptr<BatchSource>* source) {
  auto stream = std::make_unique<StreamSource>(std::move(plan));
  DISTIL_RETURN_IF_ERROR(stream->Start());
  *source = std::move(stream);
  return {};
}

}  // namespace distil::data
